"""The seed's names in TensorBoard and MLflow."""

from __future__ import annotations

from glyphyard.core.naming import figure_name, stage_title


def test_stages_of_progressive_training_carry_their_number() -> None:
    assert f"{stage_title('lcofl', 2, 5)}/{figure_name('word_acc')}" == "stage2_lcofl/val_word_acc"
    assert f"{stage_title('warmup', 1, 5)}/{figure_name('train_l1')}" == "stage1_warmup/train_l1"
    assert f"{stage_title('hard_mining', 4, 5)}/{figure_name('hard_mining_stats')}" == "stage4_hard_mining/hard_mining_stats"
    assert f"{stage_title('main', 0, 1)}/{figure_name('cer')}" == "main/val_cer"
