"""The commands of `aiops`, one module a group; heavy imports happen inside the commands."""
