"""Page sources and Mask R-CNN in a recipe: paths found, kinds checked against the task, places kept out of the fingerprint."""

from __future__ import annotations

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.recipe.dataset import DatasetConfig, YoloFolder
from glyphyard.recipe.load import load_recipe
from glyphyard.recipe.page_laws import ALL_PAGE_KINDS
from glyphyard.recipe.recipe import ModelConfig, without_places

PLATES = "kind: synthetic_plates\n      count: 10"


@pytest.mark.parametrize("kind", ALL_PAGE_KINDS)
def test_a_reader_does_not_learn_from_pages(write_recipe, kind):
    fields = "count: 10" if kind.startswith("synthetic_") else "folder: pages"
    with pytest.raises(BadInput, match=rf"\[GY076\].*{kind}.*recognition") as caught:
        load_recipe(write_recipe(PLATES, f"kind: {kind}\n      {fields}"))
    assert "little.yaml:6:" in str(caught.value)


def test_a_misspelt_key_of_a_page_source_is_found_by_its_nearest(write_recipe):
    with pytest.raises(BadInput, match=r"unlabeled.*did you mean `unlabelled`"):
        load_recipe(write_recipe(PLATES, "kind: yolo_folder\n      folder: pages\n      unlabeled: negative"))


def test_a_reader_is_no_mask_rcnn(write_recipe):
    with pytest.raises(BadInput, match=r"maskrcnn.*recognition"):
        load_recipe(write_recipe(), ["model={network: maskrcnn}"])


def test_where_pages_lie_is_no_part_of_what_they_are():
    def dataset(folder: str) -> object:
        source = YoloFolder.model_validate({"kind": "yolo_folder", "name": "pages", "folder": folder})
        return without_places(DatasetConfig(sources=(source,)).model_dump(mode="json"))

    assert dataset("/here") == dataset("/there")
    assert ModelConfig is not None
