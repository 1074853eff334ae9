"""Who answers whom in novels and plays: conversations out of books, by rule, with the place of every word."""
