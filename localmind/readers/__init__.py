"""Files become text with pages and headings. `sandbox.Readers` is what others use; it reads in child processes with limits."""
