"""Released weights: a state dict laid out like the published one, its names, channels and characters brought into ours."""

from __future__ import annotations

import pickle
import urllib.error
from pathlib import Path

import pytest
import torch
from torch import Tensor

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.errors import BadInput
from glyphyard.nn.parseq import Parseq
from glyphyard.nn.permutations import reading_sight
from glyphyard.nn.released import CHARACTERS, RELEASES, load_released
from glyphyard.recipe.load import load_recipe
from glyphyard.recipe.model import ParseqConfig

DIM, DEPTH = 16, 2
CONFIG = ParseqConfig(network="parseq", embed_dim=DIM, depth=DEPTH, heads=2, decoder_heads=4, patch=(8, 8), max_length=7)
PLATES = Alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def published(dim: int = DIM, depth: int = DEPTH, patches: int = 8, patch: tuple[int, int] = (8, 8)) -> dict[str, Tensor]:
    """Return random tensors under the names and shapes of the authors' file, for smaller numbers."""
    made = torch.Generator().manual_seed(3)
    shapes: dict[str, tuple[int, ...]] = {
        "pos_queries": (1, 26, dim),
        "encoder.pos_embed": (1, patches, dim),
        "encoder.patch_embed.proj.weight": (dim, 3, *patch),
        "encoder.patch_embed.proj.bias": (dim,),
        "encoder.norm.weight": (dim,),
        "encoder.norm.bias": (dim,),
        "decoder.norm.weight": (dim,),
        "decoder.norm.bias": (dim,),
        "head.weight": (95, dim),
        "head.bias": (95,),
        "text_embed.embedding.weight": (97, dim),
    }
    linear = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim), "mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
    for i in range(depth):
        for name, shape in linear.items():
            shapes |= {f"encoder.blocks.{i}.{name}.weight": shape, f"encoder.blocks.{i}.{name}.bias": shape[:1]}
        for name in ("norm1", "norm2"):
            shapes |= {f"encoder.blocks.{i}.{name}.weight": (dim,), f"encoder.blocks.{i}.{name}.bias": (dim,)}
    for name in ("self_attn", "cross_attn"):
        at = f"decoder.layers.0.{name}"
        shapes |= {f"{at}.in_proj_weight": (3 * dim, dim), f"{at}.in_proj_bias": (3 * dim,)}
        shapes |= {f"{at}.out_proj.weight": (dim, dim), f"{at}.out_proj.bias": (dim,)}
    for name, shape in {"linear1": (4 * dim, dim), "linear2": (dim, 4 * dim)}.items():
        shapes |= {f"decoder.layers.0.{name}.weight": shape, f"decoder.layers.0.{name}.bias": shape[:1]}
    for name in ("norm1", "norm2", "norm_q", "norm_c"):
        shapes |= {f"decoder.layers.0.{name}.weight": (dim,), f"decoder.layers.0.{name}.bias": (dim,)}
    return {name: torch.randn(shape, generator=made) * 0.3 for name, shape in shapes.items()}


def network(alphabet: Alphabet = PLATES, channels: int = 3, **changes: object) -> Parseq:
    torch.manual_seed(0)
    return Parseq(CONFIG.model_copy(update=changes), channels, 16, 32, alphabet.num_classes).eval()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(published(), tmp_path / "parseq.pt")
    return tmp_path / "parseq.pt"


def published_forward(state: dict[str, Tensor], rgb: Tensor, tokens: Tensor) -> Tensor:
    """Compute the published network's logits with torch's own layers, for reading order."""
    x = torch.nn.functional.conv2d((rgb - 0.5) / 0.5, *of(state, "encoder.patch_embed.proj"), 8)
    x = x.flatten(2).transpose(1, 2) + state["encoder.pos_embed"]
    for i in range(DEPTH):
        layer = torch.nn.TransformerEncoderLayer(
            DIM, 2, 4 * DIM, 0.0, torch.nn.functional.gelu, layer_norm_eps=1e-6, batch_first=True, norm_first=True
        )
        layer.load_state_dict(
            {
                name: state[f"encoder.blocks.{i}.{theirs}"]
                for kind in ("weight", "bias")
                for name, theirs in {
                    f"self_attn.in_proj_{kind}": f"attn.qkv.{kind}",
                    f"self_attn.out_proj.{kind}": f"attn.proj.{kind}",
                    f"linear1.{kind}": f"mlp.fc1.{kind}",
                    f"linear2.{kind}": f"mlp.fc2.{kind}",
                    f"norm1.{kind}": f"norm1.{kind}",
                    f"norm2.{kind}": f"norm2.{kind}",
                }.items()
            }
        )
        x = layer.eval()(x)
    memory = norm(state, "encoder.norm", x, 1e-6)
    length = tokens.shape[1]
    content = state["text_embed.embedding.weight"][tokens] * DIM**0.5
    content[:, 1:] += state["pos_queries"][:, : length - 1]
    query = state["pos_queries"][:, :length].expand(len(rgb), -1, -1)
    hidden = torch.ones(length, length).triu(1).bool()
    d = "decoder.layers.0"
    text = norm(state, f"{d}.norm_c", content)
    query = query + attend(state, f"{d}.self_attn", norm(state, f"{d}.norm_q", query), text, hidden)
    query = query + attend(state, f"{d}.cross_attn", norm(state, f"{d}.norm1", query), memory, None)
    middle = torch.nn.functional.gelu(torch.nn.functional.linear(norm(state, f"{d}.norm2", query), *of(state, f"{d}.linear1")))
    query = query + torch.nn.functional.linear(middle, *of(state, f"{d}.linear2"))
    return torch.nn.functional.linear(norm(state, "decoder.norm", query), *of(state, "head"))


def of(state: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return state[f"{name}.weight"], state[f"{name}.bias"]


def norm(state: dict[str, Tensor], name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    return torch.nn.functional.layer_norm(x, (DIM,), *of(state, name), eps)


def attend(state: dict[str, Tensor], name: str, query: Tensor, things: Tensor, hidden: Tensor | None) -> Tensor:
    layer = torch.nn.MultiheadAttention(DIM, 4, batch_first=True)
    layer.load_state_dict({k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")})
    return layer.eval()(query, things, things, attn_mask=hidden)[0]


def test_a_loaded_network_computes_what_the_published_one_does(file: Path) -> None:
    model = network()
    assert load_released(model, str(file), PLATES) == ""
    bgr = torch.rand(2, 3, 16, 32)
    texts = ["A1Z9", "07QX"]
    labels = torch.tensor([PLATES.encode(text) for text in texts])
    theirs = torch.tensor([[95, *(CHARACTERS.index(c) + 1 for c in text)] for text in texts])
    with torch.no_grad():
        ours = model(bgr, labels, reading_sight(5))[:, 0]
        expected = published_forward(published(), bgr.flip(1), theirs)
    wanted = [0, *(CHARACTERS.index(c) + 1 for c in PLATES.characters)]
    torch.testing.assert_close(ours, expected[..., wanted], atol=1e-4, rtol=1e-4)


def test_a_grey_network_sees_what_the_published_one_sees_of_a_grey_image(file: Path) -> None:
    colour, grey = network(), network(channels=1)
    for model in (colour, grey):
        load_released(model, str(file), PLATES)
    image = torch.rand(2, 1, 16, 32)
    torch.testing.assert_close(grey(image), colour(image.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


def test_strangers_keep_their_fresh_weights_and_are_named(file: Path) -> None:
    alphabet = Alphabet("AÄ0")
    model, fresh = network(alphabet), network(alphabet)
    assert load_released(model, str(file), alphabet) == "Ä"
    assert torch.equal(model.head.weight[2], fresh.head.weight[2])
    assert torch.equal(model.head.weight[3], published()["head.weight"][CHARACTERS.index("0") + 1])
    assert torch.equal(model.tokens.weight[4], published()["text_embed.embedding.weight"][95])


def test_a_lightning_checkpoint_is_the_same_under_another_name(tmp_path: Path, file: Path) -> None:
    torch.save({"state_dict": {f"model.{k}": v for k, v in published().items()}, "epoch": 3}, tmp_path / "last.ckpt")
    one, other = network(), network()
    load_released(one, str(file), PLATES)
    load_released(other, str(tmp_path / "last.ckpt"), PLATES)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": 1}, ["blocks.1", "depth 1"]),
        ({"depth": 3}, ["lacks", "layers.2"]),
        ({"embed_dim": 32}, ["(1, 7, 16)", "(1, 8, 32)"]),
        ({"patch": (4, 8)}, ["(1, 16, 16)", "(1, 8, 16)"]),
        ({"max_length": 40}, ["(1, 41, 16)", "(1, 26, 16)"]),
    ],
    ids=["shallower", "deeper", "wider", "patch", "longer"],
)
def test_a_network_of_another_size_is_refused(file: Path, changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        load_released(network(**changes), str(file), PLATES)
    assert any(word in str(caught.value) for word in words), str(caught.value)


def test_places_are_stretched_to_the_images_of_the_main_recipe(tmp_path: Path) -> None:
    """The released 32×128 pixels in patches of 4×8 against 80×160: places keep where they are on the plate."""
    recipe = load_recipe(Path(__file__).parents[2] / "recipes" / "lpsr_progressive.yaml")
    size, patch = recipe.dataset.image, recipe.model.recogniser.patch
    state = published(patches=128, patch=(4, 8))
    down, across = torch.meshgrid(torch.linspace(0, 1, 8), torch.linspace(0, 1, 16), indexing="ij")
    state["encoder.pos_embed"][0, :, 0], state["encoder.pos_embed"][0, :, 1] = down.flatten(), across.flatten()
    torch.save(state, tmp_path / "parseq.pt")
    mine = Parseq(CONFIG.model_copy(update={"patch": patch}), 3, size.height, size.width, PLATES.num_classes)
    load_released(mine, str(tmp_path / "parseq.pt"), PLATES)
    places = mine.encoder.places.detach()[0].unflatten(0, (20, 20))
    torch.testing.assert_close(places[:, 7, 0], torch.linspace(0, 1, 20), atol=0.05, rtol=0)
    torch.testing.assert_close(places[7, :, 1], torch.linspace(0, 1, 20), atol=0.05, rtol=0)


@pytest.mark.parametrize("kind", ["missing", "cut", "hostile", "strange", "few"])
def test_a_bad_file_is_one_line(tmp_path: Path, file: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.pt"
    if kind == "cut":
        path.write_bytes(file.read_bytes()[:2000])
    elif kind == "hostile":
        path.write_bytes(pickle.dumps({"head.weight": print}))
    elif kind == "strange":
        torch.save(published() | {"head.scale": torch.ones(1)}, path)
    elif kind == "few":
        torch.save({"head.weight": published()["head.weight"]}, path)
    with pytest.raises(BadInput) as caught:
        load_released(network(), str(path), PLATES)
    assert kind in str(caught.value)
    assert "\n" not in str(caught.value)


WRONG = {
    "narrow head": {"head.weight": torch.ones(95, 1)},
    "flat head": {"head.weight": torch.ones(95)},
    "no head": {"head.weight": torch.tensor(1.0)},
    "deep bias": {"head.bias": torch.ones(95, 2)},
    "few characters": {"head.bias": torch.ones(37)},
    "narrow tokens": {"text_embed.embedding.weight": torch.ones(97, 5)},
    "complex places": {"encoder.pos_embed": torch.ones(1, 8, DIM, dtype=torch.complex64)},
    "whole numbers": {"encoder.pos_embed": torch.ones(1, 8, DIM, dtype=torch.int64)},
    "sparse head": {"head.weight": torch.ones(95, DIM).to_sparse()},
    "empty head": {"head.weight": torch.ones(95, DIM, device="meta")},
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_tensor_of_another_shape_or_type_is_one_line_that_names_it(tmp_path: Path, kind: str) -> None:
    torch.save(published() | WRONG[kind], tmp_path / "wrong.pt")
    with pytest.raises(BadInput, match="expected") as caught:
        load_released(network(), str(tmp_path / "wrong.pt"), PLATES)
    assert next(iter(WRONG[kind])) in str(caught.value)


@pytest.mark.parametrize("content", [b"<html>404: Not Found</html>", b"GIF89a" * 99, b""], ids=["page", "picture", "nothing"])
def test_what_is_no_weight_file_is_to_be_fetched_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "parseq.pt").write_bytes(content)
    with pytest.raises(BadInput, match=r"no weight file.*https://"):
        load_released(network(), str(tmp_path / "parseq.pt"), PLATES)
    (tmp_path / "parseq.pt").write_bytes(pickle.dumps({"head.weight": print}))
    with pytest.raises(BadInput, match="more than weights"):
        load_released(network(), str(tmp_path / "parseq.pt"), PLATES)


def test_without_a_network_the_error_says_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def offline(*arguments: object, **named: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(BadInput) as caught:
        load_released(network(), "baudm/parseq-base", PLATES)
    url = RELEASES["baudm/parseq-base"]
    assert url in str(caught.value)
    assert str(tmp_path / "checkpoints" / url.rpartition("/")[2]) in str(caught.value)
    torch.save(published(), tmp_path / "checkpoints" / url.rpartition("/")[2])
    load_released(network(), "baudm/parseq-base", PLATES)
