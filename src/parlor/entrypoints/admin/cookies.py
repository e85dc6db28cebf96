"""The console's cookies: sent to no other path, to no other site, and shown to no script."""

from http.cookies import CookieError, SimpleCookie

from parlor.config import Settings
from parlor.entrypoints.http.call import Call

PATH = "/admin"
SESSION = "parlor_console"
FORM = "parlor_console_form"
FLASH = "parlor_console_flash"


class Jar:
    """Reads cookies, and writes the lines that set and erase them."""

    def __init__(self, settings: Settings) -> None:
        secure = (settings.public_url or "").startswith("https://")
        self._manners = f"Path={PATH}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"

    def keep(self, name: str, value: str) -> str:
        """Keep it until the browser is closed."""
        return f"{name}={value}; {self._manners}"

    def erase(self, name: str) -> str:
        """Forget it."""
        return f"{name}=; Max-Age=0; {self._manners}"


def cookies_of(call: Call) -> dict[str, str]:
    """Read the request's cookies; a line that nobody can read has none."""
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(call.header(b"cookie")).items()}
    except CookieError:
        return {}
