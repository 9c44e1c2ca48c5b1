"""PARSeq: a ViT reads patches, one decoder layer asks it position by position (Bautista & Atienza, ECCV 2022).

Shapes: N images, C channels, H×W pixels, S patches, D features, T = max_length + 1 positions (the last for the END),
L positions of a batch, K orders, V classes: the END (0) and the characters.

In the base configuration with the 94 published characters it has 23,832,671 parameters, D = 384:
encoder 37,248 (patches) + 49,152 (places) + 12 · 1,774,464 (layers) + 768 (norm); decoder 2 · 591,360 (attentions)
+ 1,181,568 (MLP) + 3,072 (norms) + 768 (norm); head 95 · 385; tokens 97 · 384 (END, characters, start, padding);
positions 26 · 384. The paper and the released model say 23.8 M.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from glyphyard.core.decoding import END
from glyphyard.nn.attention import Attention, KeysValues, Mlp, Vit, start_small
from glyphyard.nn.permutations import cloze_sight
from glyphyard.recipe.model import ParseqConfig

CLOSED = 30.0  # after the END every position says END with probability 1 - e^-30: what stands there means nothing


class TwoStreamLayer(nn.Module):
    """Position queries look at the text so far, then at the image; pre-norm.

    With one layer the text's own stream is only looked at, never changed: its keys and values serve every order at once.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        self.norm_query, self.norm_text = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_text, self.norm1 = Attention(dim, heads, dropout), nn.LayerNorm(dim)
        self.to_image, self.norm2 = Attention(dim, heads, dropout), nn.LayerNorm(dim)
        self.mlp, self.dropout = Mlp(dim, mlp_ratio, dropout), nn.Dropout(dropout)

    def text(self, tokens_NLD: Tensor) -> KeysValues:
        """Return the keys and values of embedded tokens."""
        return self.to_text.look_up(self.norm_text(tokens_NLD))

    def forward(self, queries_NQD: Tensor, text: KeysValues, image: KeysValues, allowed: Tensor | None) -> Tensor:
        """Return (N,Q,D)."""
        x = queries_NQD
        x = x + self.dropout(self.to_text(self.norm_query(x), text, allowed))
        x = x + self.dropout(self.to_image(self.norm1(x), image))
        return x + self.dropout(self.mlp(self.norm2(x)))


class Parseq(nn.Module):
    """Images (N,C,H,W) in [0, 1] → log-probabilities (T,N,V), position-major; class 0 is the END."""

    cloze: Tensor
    before: Tensor

    def __init__(self, config: ParseqConfig, channels: int, height: int, width: int, num_classes: int) -> None:
        super().__init__()
        dim, ratio = config.embed_dim, config.mlp_ratio
        self.decode, self.refine, self.start, self.positions = config.decode, config.refine, num_classes, config.max_length + 1
        convolutions = config.stem == "convolutions"
        self.encoder = Vit(channels, (height, width), config.patch, dim, config.depth, config.heads, ratio, convolutions)
        self.layer = TwoStreamLayer(dim, config.decoder_heads, ratio, config.dropout)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)
        self.tokens = nn.Embedding(num_classes + 2, dim)  # and the start, and padding, which nothing ever sees
        self.queries = nn.Parameter(torch.zeros(1, self.positions, dim))
        self.dropout = nn.Dropout(config.dropout)
        start_small(self)
        for places in (self.queries, self.encoder.places):
            nn.init.trunc_normal_(places, std=0.02)
        self.register_buffer("cloze", cloze_sight(self.positions), persistent=False)
        # Column t sums up what came before position t: a running total that every device's ONNX runtime has.
        before = torch.ones(self.positions, self.positions).triu(1)
        self.register_buffer("before", before, persistent=False)

    def look(self, images_NCHW: Tensor) -> KeysValues:
        """Return the image as the decoder sees it; made once, asked as often as one likes."""
        return self.layer.to_image.look_up(self.encoder(images_NCHW))

    def permuted(self, image: KeysValues, labels_NL: Tensor, allowed_KLL: Tensor) -> Tensor:
        """Return logits (N,K,L,V) of the positions of given texts in K orders, all in one pass.

        `labels_NL`: class ids padded with 0, L - 1 characters and whatever stands after them; `allowed_KLL`: see
        `permutations.sight`. The END and padding are never seen.
        """
        (orders, length, _), batch = allowed_KLL.shape, len(labels_NL)
        tokens_NL = self._with_start(labels_NL[:, : length - 1])
        text = self.layer.text(self._embed(tokens_NL))
        allowed = allowed_KLL.flatten(0, 1) & (tokens_NL != END)[:, None, None]
        queries = self.queries[:, :length].repeat(batch, orders, 1)
        return self._answer(queries, text, image, allowed).unflatten(1, (orders, length))

    def forward(self, images_NCHW: Tensor, labels_NL: Tensor | None = None, allowed_KLL: Tensor | None = None) -> Tensor:
        """Return log-probabilities (T,N,V) in float32, read as the configuration says; after the END, only END.

        With texts and what their positions may see: see `permuted`. Both stand here, because DDP knows `forward` alone.
        """
        image = self.look(images_NCHW)
        if labels_NL is not None and allowed_KLL is not None:
            return self.permuted(image, labels_NL, allowed_KLL)
        return self.read(image, self.decode, self.refine).transpose(0, 1)

    def read(self, image: KeysValues, decode: Literal["autoregressive", "parallel"], refine: int) -> Tensor:
        """Return log-probabilities (N,T,V): one after another or all at once, then refined `refine` times."""
        logits = self._one_by_one(image) if decode == "autoregressive" else self._at_once(image)
        for _ in range(refine):
            logits = self._refined(image, logits)
        log_probs = logits.float().log_softmax(-1)
        return torch.where(self._is_over(log_probs)[..., None], self._closed(log_probs), log_probs)

    def _at_once(self, image: KeysValues) -> Tensor:
        batch = image[0].shape[0]
        start = self._embed(self._starts(image))
        return self._answer(self.queries.expand(batch, -1, -1), self.layer.text(start), image, None)

    def _one_by_one(self, image: KeysValues) -> Tensor:
        batch = image[0].shape[0]
        token = self._starts(image)
        seen: list[KeysValues] = []
        logits: list[Tensor] = []
        for t in range(self.positions):
            seen.append(self.layer.text(self._embed(token, t)))
            text = (torch.cat([k for k, _ in seen], 2), torch.cat([v for _, v in seen], 2))
            logits.append(self._answer(self.queries[:, t : t + 1].expand(batch, -1, -1), text, image, None))
            token = logits[-1].argmax(-1)
        return torch.cat(logits, 1)

    def _refined(self, image: KeysValues, logits_NTV: Tensor) -> Tensor:
        """Read every position again in sight of all others, up to the END."""
        ids = logits_NTV.argmax(-1)
        tokens = self._with_start(ids[:, :-1])
        over = self._is_over(logits_NTV) | (ids == END)
        hidden = torch.cat([torch.zeros_like(over[:, :1]), over[:, :-1]], 1)
        text = self.layer.text(self._embed(tokens))
        return self._answer(self.queries.expand(ids.shape[0], -1, -1), text, image, self.cloze & ~hidden[:, None, None])

    def _is_over(self, logits_NTV: Tensor) -> Tensor:
        """Say which positions (N,T) come after the first END."""
        ended = (logits_NTV.argmax(-1) == END).float()
        return ended @ self.before > 0.5

    def _closed(self, like: Tensor) -> Tensor:
        silent = torch.full_like(like[:1, :1], -CLOSED)
        return torch.cat([torch.zeros_like(silent[..., :1]), silent[..., 1:]], -1)

    def _starts(self, image: KeysValues) -> Tensor:
        return torch.full((image[0].shape[0], 1), self.start, dtype=torch.int64, device=self.queries.device)

    def _with_start(self, ids: Tensor) -> Tensor:
        return torch.cat([torch.full_like(ids[:, :1], self.start), ids], 1)

    def _embed(self, tokens_NL: Tensor, first: int = 0) -> Tensor:
        """Return tokens with their places, (N,L,D), the first of them token `first`; the start has no place."""
        embedded = self.tokens(tokens_NL) * self.tokens.embedding_dim**0.5
        if first == 0:
            placed = embedded[:, 1:] + self.queries[:, : tokens_NL.shape[1] - 1]
            return self.dropout(torch.cat([embedded[:, :1], placed], 1))
        return self.dropout(embedded + self.queries[:, first - 1 : first - 1 + tokens_NL.shape[1]])

    def _answer(self, queries: Tensor, text: KeysValues, image: KeysValues, allowed: Tensor | None) -> Tensor:
        return self.head(self.norm(self.layer(self.dropout(queries), text, image, allowed)))
