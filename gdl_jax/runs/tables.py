"""Markdown tables."""


def as_table(header: list[str], rows: list[list[str]]) -> str:
    """Returns a Markdown table with aligned columns."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    rule = ["-" * width for width in widths]
    lines = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in [header, rule, *rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
