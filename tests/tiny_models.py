"""Models small enough to learn in a test: made from a config, with random weights, without a network."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

from lsloop.demo import language, speech
from lsloop.demo.chance import stream
from lsloop.models import MAKING, Row

P = ParamSpec("P")

ALPHABET = sorted(set("".join(language.WORDS)))


def recordings(folder: Path, count: int, seed: int = 0) -> list[Row]:
    """Clips of the demo's language, and what is said in them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, said in enumerate(language.utterances(count, seed)):
        path = folder / f"{seed}-{number:03d}.wav"
        speech.write_wav(path, speech.say(said.text, speech.pitch(said.speaker, seed), stream(seed, number)))
        rows.append({"sample_id": path.stem, "media": str(path), "transcript": said.text})
    return rows


def losses(logged: list[dict[str, Any]]) -> list[float]:
    """The losses that a training logged, oldest first."""
    return [entry["loss"] for entry in logged if "loss" in entry]


def _alone(make: Callable[P, Path]) -> Callable[P, Path]:
    """Make a model while no other thread of the tests, such as a server's, loads one."""

    @wraps(make)
    def made(*args: P.args, **options: P.kwargs) -> Path:
        with MAKING:
            return make(*args, **options)

    return made


@_alone
def whisper(folder: Path, texts: list[str], std: float = 0.06) -> Path:
    """A Whisper that hears two seconds. Its tokenizer has every language: the place in the list is the
    language."""
    import transformers
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    tokenizer = _whisper_tokenizer(texts, [f"<|{code}|>" for code in LANGUAGES])
    ids = tokenizer.convert_tokens_to_ids
    end, start = ids("<|endoftext|>"), ids("<|startoftranscript|>")
    transformers.set_seed(0)
    model = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(
            vocab_size=len(tokenizer), num_mel_bins=80, d_model=96, init_std=std, encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=192, decoder_ffn_dim=192,
            max_source_positions=100, max_target_positions=48, decoder_start_token_id=start, pad_token_id=end,
            bos_token_id=end, eos_token_id=end, suppress_tokens=[], begin_suppress_tokens=[],
        )
    )  # fmt: skip
    model.generation_config = transformers.GenerationConfig(
        is_multilingual=True, return_timestamps=False, max_length=48, max_initial_timestamp_index=50,
        lang_to_id={f"<|{code}|>": ids(f"<|{code}|>") for code in LANGUAGES}, alignment_heads=[[0, 0]],
        task_to_id={task: ids(f"<|{task}|>") for task in ("translate", "transcribe")},
        no_timestamps_token_id=ids("<|notimestamps|>"), prev_sot_token_id=ids("<|startofprev|>"),
        decoder_start_token_id=start, eos_token_id=end, pad_token_id=end, bos_token_id=end,
    )  # fmt: skip
    model.save_pretrained(folder)
    extractor = transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=2)
    transformers.WhisperProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


def _whisper_tokenizer(texts: list[str], languages: list[str]) -> Any:
    import json

    import tokenizers
    import transformers
    from tokenizers import decoders, pre_tokenizers, trainers

    raw = tokenizers.Tokenizer(tokenizers.models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    learnt = json.loads(raw.to_str())["model"]
    merges = [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in learnt["merges"]]
    tokenizer = transformers.WhisperTokenizer(
        vocab=learnt["vocab"], merges=merges, language=None, task="transcribe"
    )
    marks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    special = ["<|startoftranscript|>", *languages, *(f"<|{mark}|>" for mark in marks)]
    tokenizer.add_special_tokens({"extra_special_tokens": special})
    tokenizer.add_special_tokens({"pad_token": "<|endoftext|>"})
    tokenizer.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(101)])
    return tokenizer


def sentences(count: int, seed: int = 0) -> list[Row]:
    """Transcripts of the demo's language, and what they mean."""
    said = language.utterances(count, seed)
    return [
        {"sample_id": f"{seed}-{number}", "transcript": one.text, "translation": one.translation}
        for number, one in enumerate(said)
    ]


@_alone
def marian(folder: Path, rows: list[Row]) -> Path:
    """A Marian whose two vocabularies are learnt from the rows."""
    import json

    import sentencepiece
    import transformers

    folder.mkdir(parents=True)
    vocabulary = {"</s>": 0, "<unk>": 1}
    for side, name in (("source", "transcript"), ("target", "translation")):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([row[name] for row in rows]), model_prefix=str(folder / side),
            vocab_size=120,
            model_type="unigram", character_coverage=1.0, hard_vocab_limit=False, bos_id=-1, eos_id=0,
            unk_id=1,
            minloglevel=2,
        )  # fmt: skip
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{side}.spm"))
        for number in range(pieces.get_piece_size()):
            vocabulary.setdefault(pieces.id_to_piece(number), len(vocabulary))
    pad = vocabulary["<pad>"] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    files = {f"{side}_spm": str(folder / f"{side}.spm") for side in ("source", "target")}
    tokenizer = transformers.MarianTokenizer(
        **files, vocab=str(folder / "vocab.json"), source_lang="vi", target_lang="en"
    )
    transformers.set_seed(0)
    config = transformers.MarianConfig(
        vocab_size=len(vocabulary), d_model=96, init_std=0.06, encoder_layers=1, decoder_layers=1,
        dropout=0.0,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=192, decoder_ffn_dim=192,
        max_position_embeddings=64, pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0,
        bos_token_id=None,
        forced_eos_token_id=0, scale_embedding=True,
    )  # fmt: skip
    model = transformers.MarianMTModel(config)
    model.generation_config.update(bad_words_ids=[[pad]], num_beams=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@_alone
def nllb(folder: Path, rows: list[Row]) -> Path:
    """An NLLB that spells: one model of 200 languages, told which two by tokens."""
    import transformers

    letters = sorted({letter for row in rows for letter in row["transcript"] + row["translation"]} - {" "})
    symbols = ["<s>", "<pad>", "</s>", "<unk>", "▁", *letters]
    tokenizer = transformers.NllbTokenizer(
        vocab={symbol: number for number, symbol in enumerate(symbols)}, merges=[]
    )
    transformers.set_seed(0)
    config = transformers.M2M100Config(
        vocab_size=len(tokenizer), d_model=64, init_std=0.06, encoder_layers=1, decoder_layers=1, dropout=0.0,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128,
        max_position_embeddings=80, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    transformers.M2M100ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


FRAME_LABELS = ("Vietnamese", "English", "Silence")


@_alone
def frames(folder: Path) -> Path:
    """A wav2vec2 that labels each frame of 20 ms."""
    import transformers

    transformers.set_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=128, conv_dim=(32,) * 5,
        conv_stride=(5, 4, 4, 2, 2), conv_kernel=(10, 8, 8, 4, 4), feat_extract_norm="layer", conv_bias=True,
        do_stable_layer_norm=True, num_conv_pos_embeddings=15, num_conv_pos_embedding_groups=4,
        mask_time_prob=0.0,
        layerdrop=0.0, hidden_dropout=0.0, attention_dropout=0.0, feat_proj_dropout=0.0,
        num_labels=len(FRAME_LABELS), id2label=dict(enumerate(FRAME_LABELS)),
        label2id={label: number for number, label in enumerate(FRAME_LABELS)},
    )  # fmt: skip
    transformers.Wav2Vec2ForAudioFrameClassification(config).save_pretrained(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16_000, padding_value=0.0, do_normalize=True, return_attention_mask=True
    )
    extractor.save_pretrained(folder)
    return folder


def conversations(folder: Path, count: int, seed: int = 0) -> list[Row]:
    """Clips of two or three stretches: Vietnamese in a low voice, English in a high one, silence."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    return [
        _conversation(folder / f"{seed}-{number:03d}.wav", np.random.default_rng([seed, number]))
        for number in range(count)
    ]


def _conversation(path: Path, rng: Any) -> Row:
    import numpy as np

    sounds: list[Any] = []
    segments, at = [], 0.0
    for label in rng.permutation(FRAME_LABELS)[: rng.integers(2, 4)]:
        words = list(language.VIETNAMESE) if label == "Vietnamese" else list(language.VIETNAMESE.values())
        voice = 0.85 if label == "Vietnamese" else 1.15
        silent = rng.normal(0, 30, int(rng.uniform(0.3, 0.6) * speech.RATE)).astype(np.int16)
        sounds.append(
            silent if label == "Silence" else speech.say(" ".join(rng.choice(words, 2)), voice, rng)
        )
        end = at + len(sounds[-1]) / speech.RATE
        segments.append({"start": at, "end": end, "language": str(label), "tags": []})
        at = end
    speech.write_wav(path, np.concatenate(sounds))
    return {"sample_id": path.stem, "media": str(path), "duration": at, "segments": segments}
