from __future__ import annotations

import pytest

from personaagent.evals.perf.text_losses import agreement, measure_texts, text_triples
from personaagent.models.embedder import MiniLMEmbedder


@pytest.mark.parametrize(
    ("losses", "share"), [([[0.0, 0.5, 1.0]], 1.0), ([[1.0, 0.5, 0.0]], 0.0), ([[1, 1, 1]], 0.5), ([[0, 1, 1]], 5 / 6)]
)
def test_agreement_is_the_share_of_pairs_in_the_right_order(losses: list[list[float]], share: float) -> None:
    assert agreement(losses) == pytest.approx(share)


async def test_the_loss_of_texts_puts_most_held_out_answers_in_order() -> None:
    made = text_triples()
    told = await measure_texts(MiniLMEmbedder(), made)
    assert told["triples"] >= 60
    assert told["text_loss_held_out"] >= 0.85 > told["similarity_held_out"]
    trades = [row for row in made if row["kind"] == "trade"]  # right in the wrong form against wrong in the right one
    assert (await measure_texts(MiniLMEmbedder(), trades))["text_loss_tuning"] >= 0.5
