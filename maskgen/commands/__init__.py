"""The subcommands of ``maskgen``, one module each; maskgen.cli says what a module must offer."""
