"""`python -m serving.bento`: the scoring service in the foreground."""

from serving.bento.run import main

if __name__ == "__main__":
    main()
