"""Models loaded by several threads at the same time: every one is whole, and so is whatever loads later."""

from concurrent.futures import ThreadPoolExecutor

import transformers

from lsloop.models.families import speech_ctc, speech_seq2seq


def test_three_threads_load_a_whisper_six_times_each(whisper: str, ctc: str) -> None:
    """transformers changes PreTrainedModel while it loads; two loads at once would leave it changed for
    good."""
    before = transformers.PreTrainedModel.tie_weights

    def load(number: int) -> bool:
        tied = speech_seq2seq.load(whisper, "cpu").model
        return tied.proj_out.weight is tied.model.decoder.embed_tokens.weight

    with ThreadPoolExecutor(3) as threads:
        assert all(threads.map(load, range(18)))
    assert transformers.PreTrainedModel.tie_weights is before
    assert load(0)
    speech_ctc.load(ctc, "cpu")
