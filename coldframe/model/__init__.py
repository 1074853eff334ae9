"""What learns: sizes, transformer, optimizer, schedules, memory fit."""
