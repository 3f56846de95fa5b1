"""From the text that authors edit to what students get."""
