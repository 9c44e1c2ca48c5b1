"""The character terms of LCOFL: what a recogniser makes of a picture, so that its gradient reaches the picture.

After "Enhancing License Plate Super-Resolution: A Layout-Aware and Character-Driven Approach" (Nascimento et al., 2024).
Shapes: N images, L characters, T steps, V classes (0: END or blank; character i of the alphabet is class i + 1).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from glyphyard.core.alphabet import BLANK, Alphabet
from glyphyard.core.layout import ANY, DIGIT, LETTER, kind_of

KINDS = (ANY, LETTER, DIGIT)
# Of the released code: a digit read for a letter, and the other way round.
OFFICIAL_DIGIT_FOR_LETTER, OFFICIAL_LETTER_FOR_DIGIT = 0.4, 0.5


def kinds_of(alphabet: Alphabet) -> Tensor:
    """Return each class's kind (V,): an index into KINDS. Of any kind are the END or blank, and what letters and digits are folded onto."""
    kinds = {c: {kind_of(c)} for c in alphabet.characters}
    for character, onto in alphabet.fold.items():
        kinds[onto].add(kind_of(character))
    return torch.tensor([0, *(KINDS.index(found.pop() if len(found) == 1 else ANY) for found in kinds.values())])


def other_kind(kinds_V: Tensor) -> Tensor:
    """Return where one class is a letter and the other a digit, (V,V) bool."""
    known = kinds_V > 0
    return (kinds_V[:, None] != kinds_V[None, :]) & known[:, None] & known[None, :]


def bounded(nll: Tensor, q: float) -> Tensor:
    """Return (1 - p^q) / q of negative log-likelihoods, which is at most 1 / q; q = 0 leaves them as they are.

    Generalised cross-entropy (Zhang and Sabuncu, 2018). A gradient is p^q of what it was: what cannot be read, because the
    noise left nothing of it, drowns out the rest no more.
    """
    return -torch.expm1(-q * nll) / q if q else nll


def position_losses(
    logits_NPV: Tensor, labels_NL: Tensor, lengths_N: Tensor, weights_V: Tensor, kinds_V: Tensor, q: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return (classification, layout) where logits stand position by position, P = L + 1: the characters', then the END's.

    Classification is the weighted mean of the negative log-likelihood of the characters and of the END, `bounded` by q
    one by one: without the END, nothing keeps what stands beside a text from being read as more of it. Layout is the
    mean probability of characters of the wrong kind.
    """
    log_probs = logits_NPV.float().log_softmax(-1)
    place = torch.arange(labels_NL.shape[1] + 1, device=labels_NL.device)
    labels_NP = functional.pad(labels_NL, (0, 1)) * (place < lengths_N[:, None])  # after the characters the END, class 0
    weights = weights_V[labels_NP] * (place <= lengths_N[:, None])
    nll = bounded(-log_probs.gather(2, labels_NP[..., None])[..., 0], q)
    wrong = (log_probs.exp() * other_kind(kinds_V)[labels_NP]).sum(-1)  # nothing is of another kind than the END
    return (weights * nll).sum() / weights.sum().clamp_min(1e-6), wrong.sum() / lengths_N.sum().clamp_min(1)


def ctc_losses(
    log_probs_TNV: Tensor, labels_NL: Tensor, lengths_N: Tensor, weights_V: Tensor, kinds_V: Tensor, q: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return (classification, layout) of a CTC reader: its loss per character, `bounded` by q, each sample weighed by its characters.

    Layout: at each step, the probability of the wrong kind, weighed by how probably the step belongs to a letter or a
    digit of the true text (its share in the alignments; no gradient flows into that).
    """
    log_probs = log_probs_TNV.float()
    steps = torch.full((log_probs.shape[1],), log_probs.shape[0], dtype=torch.long)
    losses_N = functional.ctc_loss(
        log_probs, labels_NL, steps, lengths_N.cpu(), blank=BLANK, reduction="none", zero_infinity=True
    ) / lengths_N.clamp_min(1)
    losses_N = bounded(losses_N, q)
    real = torch.arange(labels_NL.shape[1], device=labels_NL.device) < lengths_N[:, None]
    weights_N = (weights_V[labels_NL] * real).sum(1) / lengths_N.clamp_min(1)
    shares_TNV = alignment_shares(log_probs, labels_NL, lengths_N)
    wrong = other_kind(kinds_V).to(log_probs.dtype)
    layout = (shares_TNV * (log_probs.exp() @ wrong)).sum() / shares_TNV[..., 1:].sum().clamp_min(1e-6)
    return (weights_N * losses_N).sum() / weights_N.sum().clamp_min(1e-6), layout


def alignment_shares(log_probs_TNV: Tensor, labels_NL: Tensor, lengths_N: Tensor) -> Tensor:
    """Return how probably each step shows each class, given the true text, (T,N,V); 0 for a text that has no room. No gradient.

    That is the softmax less the gradient of the CTC loss (Graves et al., 2006, equation 16).
    """
    with torch.enable_grad():
        scores = log_probs_TNV.detach().requires_grad_()
        steps = torch.full((scores.shape[1],), scores.shape[0], dtype=torch.long)
        loss = functional.ctc_loss(
            scores.log_softmax(-1), labels_NL, steps, lengths_N.cpu(), blank=BLANK, reduction="sum", zero_infinity=True
        )
        (gradient,) = torch.autograd.grad(loss, scores)
    # Each character has a step, and two alike a blank between them.
    real = torch.arange(1, labels_NL.shape[1], device=labels_NL.device) < lengths_N[:, None]
    alike_N = ((labels_NL[:, 1:] == labels_NL[:, :-1]) & real).sum(1)
    has_room_N = lengths_N + alike_N <= log_probs_TNV.shape[0]
    return (log_probs_TNV.detach().exp() - gradient).clamp_min(0) * has_room_N[:, None]


def official_losses(
    read_ids_NT: Tensor, read_lengths_N: Tensor, labels_NL: Tensor, lengths_N: Tensor, kinds_V: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Return (classification, layout) as the released code computes them: from decoded strings, hence without a gradient.

    Classification: cross-entropy of the read characters' one-hots, taken as logits, per character, position by position (what
    is missing or too much counts as class 0). Its weights never change, since the released code never fills its list of
    confused pairs. Layout: 0.4 for a digit read for a letter, 0.5 for a letter read for a digit, summed per text, mean over texts.
    """
    width = max(read_ids_NT.shape[1], labels_NL.shape[1])
    read, truth = (functional.pad(ids, (0, width - ids.shape[1])) for ids in (read_ids_NT, labels_NL))
    place = torch.arange(width, device=truth.device)
    real = place < torch.maximum(read_lengths_N, lengths_N)[:, None]
    one_hots = functional.one_hot(read, num_classes).float()
    nll = functional.cross_entropy(one_hots.flatten(0, 1), truth.flatten(), reduction="none").reshape(truth.shape)
    kinds_read, kinds_true = kinds_V[read], kinds_V[truth]
    letter, digit = KINDS.index(LETTER), KINDS.index(DIGIT)
    penalty = ((kinds_true == letter) & (kinds_read == digit)) * OFFICIAL_DIGIT_FOR_LETTER
    penalty = penalty + ((kinds_true == digit) & (kinds_read == letter)) * OFFICIAL_LETTER_FOR_DIGIT
    return (nll * real).sum() / real.sum().clamp_min(1), penalty.sum(1).mean()
