"""A local, strict stand-in for Amazon IVS Chat's CreateChatToken."""
