"""A network camera for tests by others: GStreamer's RTSP server, with its own test image.

    python3 gstreamer_rtsp.py PORT

Runs with Debian's Python; needs python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-
base, -good and -ugly. Prints "ready" when it serves rtsp://127.0.0.1:PORT/cam: 320 x 240 pixels of
H.264, 30 frames a second.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

IMAGES = "videotestsrc is-live=true pattern=ball"
FORMAT = "video/x-raw,format=I420,width=320,height=240,framerate=30/1"
ENCODER = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30"
PAYLOAD = "rtph264pay config-interval=1 name=pay0 pt=96"

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_shared(True)
factory.set_launch(f"( {IMAGES} ! {FORMAT} ! {ENCODER} ! {PAYLOAD} )")
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
for element in ("videotestsrc", "x264enc", "rtph264pay"):
    if Gst.ElementFactory.find(element) is None:
        sys.exit(f"GStreamer has no {element}")
print("ready", flush=True)
GLib.MainLoop().run()
