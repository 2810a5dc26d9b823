"""Times text generation by GPT-2's network in Hugging Face's transformers, with its cache and random weights.

python -m experiments.bench.peers.hugging_face_generation --model=gpt2 --batch_size=16 --steps=200
"""

import json
import statistics
import time

import torch
import transformers

from experiments.bench.peers import timing


def network(sizes: timing.GPT) -> transformers.GPT2LMHeadModel:
    """Returns GPT-2's network of these sizes; no token ends a text."""
    config = transformers.GPT2Config(
        vocab_size=sizes.vocabulary,
        n_positions=sizes.context,
        n_embd=sizes.width,
        n_layer=sizes.layers,
        n_head=sizes.heads,
        bos_token_id=None,
        eos_token_id=None,
    )
    return transformers.GPT2LMHeadModel(config).eval()


def write(gpt: transformers.GPT2LMHeadModel, prompts: torch.Tensor, steps: int) -> torch.Tensor:
    """Samples `steps` tokens at temperature 1 after each prompt (B, P); returns (B, P + steps)."""
    options = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "use_cache": True}
    mask = torch.ones_like(prompts)
    return gpt.generate(prompts, attention_mask=mask, pad_token_id=0, max_new_tokens=steps, **options)


def main():
    options = timing.parse(__doc__, timing.GENERATORS)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    gpt = network(timing.GENERATORS[options.model]).to(device)
    prompts = torch.ones((options.batch_size, timing.PROMPT), dtype=torch.long, device=device)
    seconds = []
    for _ in range(options.windows + 1):
        began = time.perf_counter()
        write(gpt, prompts, options.steps).cpu()  # waits for the device
        seconds.append(time.perf_counter() - began)
    rate = options.batch_size * options.steps / statistics.median(seconds[1:])
    name = f"transformers {transformers.__version__} on PyTorch {torch.__version__}"
    print(json.dumps({"name": name, "texts": options.batch_size, "tokens_per_second": rate}))


if __name__ == "__main__":
    main()
