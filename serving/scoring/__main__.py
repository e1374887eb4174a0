"""`python -m serving.scoring`: the scoring service in the foreground."""

from serving.scoring.run import main

if __name__ == "__main__":
    main()
