"""Rules on a question's text: normal form, vetoes against cached answers, and the audience of an answer."""
