"""How well a base answers: questions with their expected evidence, measures, and how sure one may be of a difference."""
