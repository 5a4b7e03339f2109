"""The vector store on FAISS files."""
