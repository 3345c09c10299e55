"""Command `view`: slides in the browser."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from confostain import RESEARCH_USE
from confostain.cli.common import (
    SLIDE_HELP,
    Commands,
    add_command,
    add_range_argument,
    add_register_argument,
    add_series_argument,
    needs_extra,
    open_chosen,
    open_path,
)
from confostain.cli.server_options import add_server_arguments, server_address
from confostain.errors import OptionError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from confostain.viewer.guard import AccessRules


def add_view(commands: Commands) -> None:
    """Add `view`."""
    parser = add_command(
        commands,
        "view",
        _view,
        "show raw slides in the browser, stained on demand",
        SLIDE_HELP + "\nexamples:\n  confostain view scan/mosaic\n"
        "  confostain view scan1/mosaic scan2/mosaic --histology section.svs\n  confostain view --watch scans\n\n"
        + RESEARCH_USE,
    )
    parser.add_argument("slides", nargs="*", metavar="SLIDE", help="folder or file of a slide")
    parser.set_defaults(slide=None)
    parser.add_argument("--reflectance", metavar="FILE", help="reflectance channel, if it is a file of its own")
    parser.add_argument("--fluorescence", metavar="FILE", help="fluorescence channel, if it is a file of its own")
    parser.add_argument("--swap-channels", action="store_true", help="exchange reflectance and fluorescence")
    parser.add_argument("--mpp", type=float, metavar="UM", help="um per pixel, if the files do not give it")
    add_series_argument(parser)
    add_range_argument(parser)
    add_register_argument(parser)
    parser.add_argument("--histology", action="append", default=[], metavar="FILE", help="H&E slide to compare with")
    parser.add_argument(
        "--watch", action="append", default=[], metavar="DIR", help="folder whose slides are shown, now and later"
    )
    parser.add_argument(
        "--model",
        metavar="NAME_OR_DIR",
        help="stain to show first: a name that `confostain models` lists, or the folder of a trained model",
    )
    parser.add_argument(
        "--overlay",
        action="append",
        default=[],
        metavar="FILE",
        help="features (.geojson) or maps (OME-Zarr) to show above the one SLIDE; docs/viewer.md says what they hold",
    )
    add_server_arguments(parser)


def _view(options: argparse.Namespace) -> int:
    from confostain.io.readers.results import find_result
    from confostain.models.registry import DEFAULT_MODEL

    with needs_extra("view"):
        from confostain.viewer.library import Library
        from confostain.viewer.serving import check_page, serve
    check_page()
    single = options.reflectance or options.fluorescence
    if not (options.slides or single or options.histology or options.watch):
        raise OptionError("no slide given; expected SLIDE, --histology FILE, or a folder with --watch DIR")
    overlays = _overlays(options)
    with Library(options.model or DEFAULT_MODEL) as library:
        if single:
            library.add_confocal(open_chosen(options), Path(single), overlays)
        open_slide = partial(open_path, options)
        for path in map(Path, options.slides):
            result = find_result(path)
            if result is not None and result.is_stain:
                library.add_histology(result.picture, options.mpp, result.label, overlays)
            else:
                library.add_confocal(open_slide(path), path, overlays)
        for path in options.histology:
            library.add_histology(Path(path))
        for folder in options.watch:
            library.watch(Path(folder), open_slide)

        def create(rules: AccessRules) -> FastAPI:
            with needs_extra("view"):
                from confostain.viewer.app import create_app
            return create_app(library, rules)

        serve(create, server_address(options), print)
    return 0


def _overlays(options: argparse.Namespace) -> list[Path]:
    """Paths of --overlay.

    Raises:
        OptionError: nobody can tell which slide they belong to.
        SlideError: one is neither a GeoJSON file nor an OME-Zarr folder.
    """
    from confostain.viewer.overlays import check_overlay

    slides = len(options.slides) + bool(options.reflectance or options.fluorescence)
    if options.overlay and slides != 1:
        raise OptionError(
            f"--overlay with {slides} slides: expected the one SLIDE that it belongs to; put overlays of several slides"
            " beside them, named as docs/viewer.md says"
        )
    paths = [Path(path) for path in options.overlay]
    for path in paths:
        check_overlay(path)
    return paths
