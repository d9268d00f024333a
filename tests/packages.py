"""Packages of users, installed by hand as pip would install them."""


def write_package(site, name, files, entry_points):
    """Write a package's files (path -> text) and entry points (group -> name -> target)."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    groups = [
        line
        for group, points in entry_points.items()
        for line in (f"[{group}]", *(f"{key} = {target}" for key, target in points.items()))
    ]
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    described = {"METADATA": metadata, "entry_points.txt": "\n".join([*groups, ""])}
    for path, text in [
        *((site / path, text) for path, text in files.items()),
        *((info / path, text) for path, text in described.items()),
    ]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
