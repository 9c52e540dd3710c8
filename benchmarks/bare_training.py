"""`python -m benchmarks.bare_training BASE DATA OUT SEED STEPS`: fine-tuning and measuring as a script
does it, no more."""

import json
import sys
from pathlib import Path
from typing import Any

SETTINGS = {
    "learning_rate": 0.003,
    "scheduler": "cosine",
    "batch_size": 8,
    "save_steps": 100,
    "log_steps": 10,
}


def main(base: str, data: str, out: str, seed: int, steps: int) -> None:
    """Train on the train split, save, measure base and result on the test split, print the result's WER."""
    import jiwer
    import soundfile
    import torch
    import transformers

    def rows(split: str) -> list[dict[str, Any]]:
        found = []
        for line in (Path(data) / "index.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["split"] == split:
                folder = Path(data) / entry["sample_id"]
                text = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["training_row"][
                    "transcript"
                ]
                sound, rate = soundfile.read(folder / "audio.wav", dtype="float32")
                heard = processor.feature_extractor(sound, sampling_rate=rate).input_features[0]
                found.append({"input_features": heard, "text": text})
        return found

    def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
        heard = [{"input_features": one["input_features"]} for one in batch]
        inputs = processor.feature_extractor.pad(heard, padding=True, return_tensors="pt")
        labels = processor.tokenizer([one["text"] for one in batch], padding=True, return_tensors="pt")
        return {**inputs, "labels": labels.input_ids.masked_fill(labels.attention_mask.ne(1), -100)}

    def error_rate(folder: str) -> float:
        model, tested, said = transformers.AutoModelForCTC.from_pretrained(folder).eval(), rows("test"), []
        tested.sort(key=lambda row: len(row["input_features"]))
        for start in range(0, len(tested), 32):
            batch = collate(tested[start : start + 32])
            with torch.inference_mode():
                logits = model(**{name: value for name, value in batch.items() if name != "labels"}).logits
            inside = batch["attention_mask"].bool()[:, : logits.shape[1]]
            said += processor.batch_decode(logits.argmax(-1).masked_fill(~inside, model.config.pad_token_id))
        return float(jiwer.wer([row["text"] for row in tested], said))

    transformers.set_seed(seed)
    processor = transformers.AutoProcessor.from_pretrained(base)
    trainer = transformers.Trainer(
        model=transformers.AutoModelForCTC.from_pretrained(base, ctc_zero_infinity=True),
        args=transformers.TrainingArguments(
            output_dir=out, max_steps=steps, per_device_train_batch_size=SETTINGS["batch_size"], seed=seed,
            data_seed=seed,
            learning_rate=SETTINGS["learning_rate"], lr_scheduler_type=SETTINGS["scheduler"],
            save_total_limit=2,
            save_steps=SETTINGS["save_steps"], logging_steps=SETTINGS["log_steps"],
            remove_unused_columns=False,
            use_cpu=True, report_to=[], disable_tqdm=True,
        ),
        data_collator=collate,
        train_dataset=rows("train"),
    )  # fmt: skip
    trainer.train()
    trainer.save_model(out)
    processor.save_pretrained(out)
    print(json.dumps({"base": error_rate(base), "wer": error_rate(out)}))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:6]))
