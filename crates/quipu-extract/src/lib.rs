//! Bytes to text with structure and metadata: pdf, docx, html, markdown, code, plain text.
