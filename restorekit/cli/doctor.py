"""``restorekit doctor``: whether this installation works, and the fix for what does not."""

import typer

from restorekit.cli import options
from restorekit.cli.console import EXIT_FAILED, print_json

__all__ = ["doctor"]

MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("problem", "red")}


def doctor(json: options.Json = False) -> None:
    """Check PyTorch, the device, codecs, metadata support and weights; print the fix for each problem."""
    from restorekit.doctor import diagnose_installation
    from restorekit.zoo import shipped_weights

    findings = diagnose_installation(shipped_weights())
    if json:
        print_json([finding.as_record() for finding in findings])
    else:
        for finding in findings:
            mark, colour = MARKS[finding.status]
            typer.echo(f"{typer.style(f'{mark:8}', fg=colour)} {finding.check}: {finding.detail}")
            if finding.fix:
                typer.echo(f"         fix: {finding.fix}")
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(EXIT_FAILED)
