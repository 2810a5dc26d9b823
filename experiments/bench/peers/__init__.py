"""The same networks in other libraries, written and trained in their idiomatic way."""
