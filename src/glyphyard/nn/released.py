"""Released PARSeq weights → our Parseq: an explicit map of names, channels, places and characters.

The file is the authors' own (github.com/baudm/parseq, release v1.0.0): a state dict of tensors with timm's names in the
encoder and torch's `nn.MultiheadAttention` in the decoder, for RGB images and 94 characters.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.errors import BadInput
from glyphyard.core.files import is_pickled
from glyphyard.nn.attention import Vit
from glyphyard.nn.parseq import Parseq
from glyphyard.nn.weight_file import load_tensors
from glyphyard.recipe.model import RELEASED

FOLDER = "https://github.com/baudm/parseq/releases/download/v1.0.0"
RELEASES = dict(zip(RELEASED, (f"{FOLDER}/parseq-bb5792a6.pt", f"{FOLDER}/parseq_tiny-e7a21b54.pt"), strict=True))
CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
IMAGE = (32, 128)  # height and width that the releases were trained on, in pixels
START_ROW, PADDING_ROW = len(CHARACTERS) + 1, len(CHARACTERS) + 2  # after the END (0) and the characters (from 1)
ROWS = {"head.weight": START_ROW, "head.bias": START_ROW, "tokens.weight": PADDING_ROW + 1}  # of what has one for each character

# Their name → ours, as patterns; what is in none of them is refused.
NAMES = (
    (r"encoder\.patch_embed\.proj\.(weight|bias)", r"encoder.patches.\1"),
    (r"encoder\.pos_embed", r"encoder.places"),
    (r"encoder\.blocks\.(\d+)\.(norm[12])\.(weight|bias)", r"encoder.layers.\1.\2.\3"),
    (r"encoder\.blocks\.(\d+)\.attn\.qkv\.(weight|bias)", r"encoder.layers.\1.attention.projections.\2"),
    (r"encoder\.blocks\.(\d+)\.attn\.proj\.(weight|bias)", r"encoder.layers.\1.attention.mix.\2"),
    (r"encoder\.blocks\.(\d+)\.mlp\.fc1\.(weight|bias)", r"encoder.layers.\1.mlp.0.\2"),
    (r"encoder\.blocks\.(\d+)\.mlp\.fc2\.(weight|bias)", r"encoder.layers.\1.mlp.3.\2"),
    (r"encoder\.norm\.(weight|bias)", r"encoder.norm.\1"),
    (r"decoder\.layers\.0\.self_attn\.in_proj_(weight|bias)", r"layer.to_text.projections.\1"),
    (r"decoder\.layers\.0\.self_attn\.out_proj\.(weight|bias)", r"layer.to_text.mix.\1"),
    (r"decoder\.layers\.0\.cross_attn\.in_proj_(weight|bias)", r"layer.to_image.projections.\1"),
    (r"decoder\.layers\.0\.cross_attn\.out_proj\.(weight|bias)", r"layer.to_image.mix.\1"),
    (r"decoder\.layers\.0\.linear1\.(weight|bias)", r"layer.mlp.0.\1"),
    (r"decoder\.layers\.0\.linear2\.(weight|bias)", r"layer.mlp.3.\1"),
    (r"decoder\.layers\.0\.(norm[12])\.(weight|bias)", r"layer.\1.\2"),
    (r"decoder\.layers\.0\.norm_q\.(weight|bias)", r"layer.norm_query.\1"),
    (r"decoder\.layers\.0\.norm_c\.(weight|bias)", r"layer.norm_text.\1"),
    (r"decoder\.norm\.(weight|bias)", r"norm.\1"),
    (r"head\.(weight|bias)", r"head.\1"),
    (r"text_embed\.embedding\.weight", r"tokens.weight"),
    (r"pos_queries", r"queries"),
)


def load_released(network: Parseq, which: str, alphabet: Alphabet) -> str:
    """Load a release by hub id, or a file with one, into `network`; return the characters that it could not teach.

    Those (an Ä, say) keep their fresh weights. A folded character is taught as the one it is read as.
    """
    theirs, where = read_released(which)
    mine = network.state_dict()
    taught = [c for c in alphabet.characters if c in CHARACTERS]
    for name, value in theirs.items():
        if (own := _our_name(name)) is None:
            raise BadInput(where, f"holds {name!r}, which no PARSeq has", "use a released PARSeq, or leave `pretrained` out")
        if own not in mine:
            raise BadInput(where, f"holds {name!r}, which this network of depth {_depth(network)} has not", "state its own size")
        value, rows = _fitted(own, value, network), _rows(own, alphabet, taught)
        expected, found = (ROWS.get(own, len(mine[own])), *mine[own].shape[1:]), tuple(value.shape)
        if found != expected:
            problem = f"{name}: expected {expected} for this network, the file has {found}"
            raise BadInput(where, problem, "state the file's `size`, patch and image")
        if rows:
            mine[own][list(rows)] = value[list(rows.values())].to(mine[own])
        else:
            mine[own].copy_(value)
    if missing := sorted(set(mine) - {_our_name(name) for name in theirs}):
        raise BadInput(where, f"lacks {len(missing)} tensors ({missing[0]} …)", "download it again, or state its own size")
    return "".join(c for c in alphabet.characters if c not in CHARACTERS)


def read_released(which: str) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a release (downloaded once, its hash checked) or of a local file, and where they lie."""
    path = _downloaded(which) if which in RELEASES else Path(which).expanduser()
    where, again = str(path), f"download it again from {RELEASES.get(which, FOLDER)}"
    if not path.is_file():
        known = ", ".join(RELEASES)
        raise BadInput(where, "there is no such file", f"`pretrained` names a file, or one of {known}")
    try:
        state = load_tensors(path)
    except Exception as error:  # an unpickler that is fed any bytes may raise anything
        if isinstance(error, pickle.UnpicklingError) and is_pickled(path):
            raise BadInput(where, "holds more than weights and was not loaded", "use the released file") from error
        raise BadInput(where, f"is no weight file, or was cut short ({type(error).__name__})", again) from error
    if isinstance(state, Mapping) and {"schema", "parts"} <= set(state):
        raise BadInput(where, "is a checkpoint of Glyphyard's own", "start from it by a stage's `init`, or with --from")
    state = state.get("state_dict", state) if isinstance(state, Mapping) else {}
    tensors = {str(k).removeprefix("model."): v for k, v in state.items() if isinstance(v, Tensor)}
    if not tensors:
        raise BadInput(where, "holds no tensors by name", "use the released file")
    if strange := [name for name, v in tensors.items() if v.layout != torch.strided or v.is_meta or not v.is_floating_point()]:
        found = tensors[strange[0]]
        problem = f"{strange[0]}: expected dense floating point numbers, found {found.dtype}, {found.layout}, on {found.device}"
        raise BadInput(where, problem, "use the released file")
    return tensors, where


def _downloaded(which: str) -> Path:
    """Return the release's file in torch's own cache, fetching it if it is not there yet."""
    url = RELEASES[which]
    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = re.search(r"-([0-9a-f]{8,})\.", name)
        assert digest is not None  # torch names released files by the beginning of their SHA-256
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest[1], progress=False)
    except (OSError, RuntimeError) as error:  # no network, no such host, no room, or another hash
        remedy = f"download {url} where there is a network and put it at {path}, or give its path as `pretrained`"
        raise BadInput(f"pretrained {which}", f"cannot be fetched ({error})", remedy) from error
    return path


def _our_name(name: str) -> str | None:
    for theirs, ours in NAMES:
        if re.fullmatch(theirs, name):
            return re.sub(theirs, ours, name)
    return None


def _fitted(own: str, value: Tensor, network: Parseq) -> Tensor:
    """Bring the first layer to our channels (BGR, or grey as the sum of the three), the positions to our longest text, the
    places of patches to our image's size."""
    if own == "encoder.patches.weight" and value.ndim == 4 and value.shape[1] == 3:
        return value.flip(1) if network.encoder.patches.in_channels == 3 else value.sum(1, keepdim=True)
    if own == "queries" and value.ndim == 3:
        return value[:, : network.positions]
    if own == "encoder.places" and value.ndim == 3:
        return _stretched(value, network.encoder)
    return value


def _stretched(places_1SD: Tensor, encoder: Vit) -> Tensor:
    """Bring the places of an image of `IMAGE` to another image's, as a ViT is brought to another resolution."""
    assert isinstance(encoder.patches, nn.Conv2d)  # a stem of convolutions has no released weights
    rows, columns = (length // step for length, step in zip(IMAGE, encoder.patches.kernel_size, strict=True))
    if encoder.grid == (rows, columns) or places_1SD.shape[1] != rows * columns:
        return places_1SD
    plane_1DRC = places_1SD.reshape(1, rows, columns, -1).permute(0, 3, 1, 2).float()
    stretched = functional.interpolate(plane_1DRC, encoder.grid, mode="bicubic", align_corners=False, antialias=True)
    return stretched.flatten(2).transpose(1, 2)


def _rows(own: str, alphabet: Alphabet, taught: list[str]) -> dict[int, int]:
    """Map our rows of the head or the token table to theirs; no rows: the tensor is taken as a whole."""
    if own not in ROWS:
        return {}
    rows = {0: 0} | {alphabet.characters.index(c) + 1: CHARACTERS.index(c) + 1 for c in taught}
    if own == "tokens.weight":
        rows |= {alphabet.num_classes: START_ROW, alphabet.num_classes + 1: PADDING_ROW}
    return rows


def _depth(network: Parseq) -> int:
    return len(network.encoder.layers)
