"""The core: persona, memory and alignment rules. It knows no graph."""
