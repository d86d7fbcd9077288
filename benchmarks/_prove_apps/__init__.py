"""Three small apps that leave nothing out, and omissions that are planted into their text."""
