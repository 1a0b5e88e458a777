"""README's commands and the image's steps in a Debian that holds nothing else; as root only.

Owns the clean root (`debian`), the two commands in it (`commands`), and the steps of the Dockerfile
without a container engine (`image`). Standard library alone: it runs before anything is installed.
"""
