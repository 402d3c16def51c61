"""The settings by concern: one model a module, put together by `config.Settings`."""
