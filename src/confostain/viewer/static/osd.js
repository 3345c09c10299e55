// OpenSeadragon with the settings of a pane.

// OpenSeadragon adds an inline style, which the content security policy forbids, unless it finds one with this mark; an
// element of no known namespace is found and means nothing.
const mark = document.createElementNS("urn:confostain", "style");
mark.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(mark);

export function makeViewer(element) {
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const viewer = new window.OpenSeadragon.Viewer({
    element,
    drawer: "canvas", // snapshots and brightness need its pixels
    showNavigationControl: false,
    preserveViewport: true,
    preserveImageSizeOnResize: true, // the magnification stays the same when panes are added or removed
    visibilityRatio: 0.1,
    minZoomImageRatio: 0.5,
    maxZoomPixelRatio: 8,
    animationTime: still ? 0 : 0.35,
    blendTime: still ? 0 : 0.1,
    imageLoaderLimit: 0, // tilequeue.js orders the requests
    maxTilesPerFrame: 8,
    timeout: 120000,
    imageSmoothingEnabled: true,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: false },
    gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: false, pinchRotate: false },
    gestureSettingsPen: { clickToZoom: false, dblClickToZoom: false },
  });
  viewer.innerTracker.keyHandler = null; // keys.js handles the keyboard
  viewer.innerTracker.keyDownHandler = null;
  viewer.canvas.tabIndex = -1;
  return viewer;
}
