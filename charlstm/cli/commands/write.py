"""``charlstm write``: a person and a model write a text in turn."""

from __future__ import annotations

from typing import Annotated

import typer

from charlstm.cli import options
from charlstm.cli.load_model import describe, fitted_prompt, load, prompt_text, told_seed
from charlstm.cli.options import DEFAULT_ROOT, Root
from charlstm.cli.views.terminal import say
from charlstm.cli.write_session import Session, some
from charlstm.errors import UsageError

EPILOG = """Examples:

\b
  charlstm write                           with the newest run, else the starter
  charlstm write my-1 --prompt "ROMEO:"    from a beginning
  charlstm write my-1 > scene.txt          the finished text into a file
  printf 'ROMEO:\\n\\n/alt 3\\n2\\n' | charlstm write --seed 1
"""

app = options.one_command()


@app.command(epilog=EPILOG)
def write(
    checkpoint: options.Model = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="Begin with this text.")] = None,
    prompt_file: options.PromptFile = None,
    length: Annotated[int, typer.Option("--length", "-l", help="Tokens the model adds at a time.")] = 100,
    temperature: options.Temperature = 0.8,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    seed: options.Seed = None,
    unknown: options.Unknown = "error",
    device: options.Device = "cpu",
    root: Root = DEFAULT_ROOT,
) -> None:
    """Write a text together with a model.

    Enter lets the model go on, typed text is added, commands begin with /: see /help. Nothing of the past is computed
    again. If stdout is no terminal it gets the finished text, and everything else is shown on stderr. Lines may come
    from a pipe; the first that fails then ends the session.
    """
    from charlstm.sampling.cowriter import CoWriter
    from charlstm.sampling.sampler import SampleConfig

    if prompt == "-" or str(prompt_file) == "-":
        raise UsageError("commands come from stdin here, so the prompt cannot", hint="Use --prompt-file FILE.")
    config = SampleConfig(
        length=some(length),
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=told_seed(seed),
    )
    loaded = load(checkpoint, root, device)
    text = fitted_prompt(loaded.model.tokenizer, prompt_text(prompt, prompt_file, loaded), unknown)
    writer = CoWriter(loaded.model, config)
    writer.add(text)
    session = Session(writer, unknown)
    say(describe(loaded, seed=config.seed))
    say("Enter lets the model go on, /help shows the rest.")
    session.run()
