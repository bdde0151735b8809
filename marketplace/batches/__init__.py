"""Files and batches with OpenAI's semantics: work with a deadline that takes what interactive requests leave."""
