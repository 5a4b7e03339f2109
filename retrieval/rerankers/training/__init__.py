"""Training the compact reranker: the network, hard negatives, the loop, export and checks.

Needs torch, which loads with the modules that use it; nothing that answers a question imports
this package.
"""
