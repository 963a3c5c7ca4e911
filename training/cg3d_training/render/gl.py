"""Pictures by a GL driver, without a display: moderngl over EGL, on a GPU or Mesa's llvmpipe.

The shading is that of the rasteriser in numpy, formula by formula; drivers may round otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import DependencyError, InputError
from cg3d_training.render.mesh import ColouredMesh
from cg3d_training.render.normals import corner_normals
from cg3d_training.render.views import View, ViewSettings, reduce

_VERTEX = """
#version 330
uniform float slope; uniform float nearest; uniform float furthest;
in vec3 place; in vec3 normal; in vec3 colour; in vec2 uv;
out vec3 n; out vec3 c; out vec2 t;
void main() {
    n = normal; c = colour; t = uv;
    // `place` is to the right, up and ahead of the camera.
    float ahead = (furthest + nearest) / (furthest - nearest) * place.z
                - 2.0 * furthest * nearest / (furthest - nearest);
    gl_Position = vec4(place.xy / slope, ahead, place.z);
}
"""
_FRAGMENT = """
#version 330
uniform sampler2D picture; uniform bool holes;
uniform float ambient; uniform vec3 directions[3]; uniform float strengths[3];
in vec3 n; in vec3 c; in vec2 t;
out vec4 seen;
void main() {
    vec4 texel = texture(picture, t);
    if (holes && texel.a < 0.5) discard;
    vec3 towards = normalize(n) * (gl_FrontFacing ? 1.0 : -1.0);
    float light = ambient;
    for (int i = 0; i < 3; i++) light += strengths[i] * max(dot(towards, directions[i]), 0.0);
    seen = vec4(clamp(c * texel.rgb * pow(light, 1.0 / 2.2), 0.0, 1.0), 1.0);
}
"""
_WHITE = np.full((1, 1, 3), 255, np.uint8)


class GlRenderer:
    """Holds a context; use it in the process and thread that made it."""

    def __init__(self) -> None:
        """Open a context.

        Raises:
            DependencyError: moderngl is not installed, or there is no EGL.
        """
        gl = require("moderngl", "gl", "Drawing with GL")
        try:
            self._context = gl.create_context(standalone=True, backend="egl", require=330)
        except Exception as error:  # moderngl raises Exception itself
            raise DependencyError(
                f"no GL context could be made through EGL ({error}); on Debian and Ubuntu: "
                "apt install libegl1 libgl1-mesa-dri"
            ) from error
        self._program = self._context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._canvas: tuple[int, Any] | None = None

    def draw(
        self, mesh: ColouredMesh, views: Sequence[View], settings: ViewSettings
    ) -> list[NDArray[np.uint8]]:
        """See `Renderer`."""
        context, fine = self._context, settings.size * settings.antialias
        largest = context.info["GL_MAX_TEXTURE_SIZE"]
        if any(max(picture.shape[:2]) > largest for picture in mesh.textures):
            raise InputError(f"a texture has over {largest} pixels on a side, more than GL takes")
        canvas = self._canvas_of(fine)
        # A texture's faces together; within one texture the order stays.
        order = np.argsort(mesh.texture, kind="stable")
        corners = mesh.vertices[mesh.faces[order]].reshape(-1, 3)
        rest = np.concatenate(
            [corner_normals(mesh.vertices, mesh.faces)[order], mesh.colours[order], mesh.uv[order]],
            axis=2, dtype=np.float32,
        )  # fmt: skip
        used, starts = np.unique(mesh.texture[order], return_index=True)
        ends = [*starts[1:].tolist(), len(order)]
        held = [self._texture(mesh.textures[i] if i >= 0 else _WHITE) for i in used]
        attributes = context.buffer(rest.tobytes())
        places = context.buffer(reserve=len(corners) * 12)
        array = context.vertex_array(
            self._program,
            [(places, "3f", "place"), (attributes, "3f 3f 2f", "normal", "colour", "uv")],
        )
        pictures = []
        try:
            for view in views:
                self._place(view, corners, places)
                canvas.use()
                context.enable_only(context.DEPTH_TEST)
                context.clear(*(v / 255 for v in view.background), 1.0)
                for texture, start, end in zip(held, starts.tolist(), ends, strict=True):
                    texture.use(0)
                    self._set("holes", texture.components == 4)
                    array.render(vertices=3 * (end - start), first=3 * start)
                data = np.frombuffer(canvas.read(components=3, alignment=1), np.uint8)
                picture = data.reshape(fine, fine, 3)[::-1].astype(np.float32) / np.float32(255)
                pictures.append(reduce(picture, settings.antialias))
        finally:
            for thing in (array, places, attributes, *held):
                thing.release()
        return pictures

    def _place(self, view: View, corners: NDArray[np.float64], places: Any) -> None:
        """Corners as the camera has them, computed in float64, and what the shaders need."""
        camera, lighting = view.camera, view.lighting
        seen = np.einsum("nk,dk->nd", corners - camera.eye, camera.axes)
        places.write(seen.astype(np.float32).tobytes())
        furthest = float(seen[:, 2].max()) * 1.01
        self._set("slope", float(np.tan(np.radians(camera.field_of_view) / 2)))
        self._set("nearest", max(float(seen[:, 2].min()) * 0.99, furthest * 1e-4))
        self._set("furthest", furthest)
        self._set("ambient", lighting.ambient)
        missing = 3 - len(lighting.strengths)
        directions = np.pad(lighting.directions, ((0, missing), (0, 0)))
        self._set("directions", [tuple(d) for d in directions.tolist()])
        self._set("strengths", np.pad(lighting.strengths, (0, missing)).tolist())

    def _set(self, name: str, value: Any) -> None:
        self._program[name].value = value

    def _texture(self, picture: NDArray[np.uint8]) -> Any:
        height, width, channels = picture.shape
        data = np.ascontiguousarray(picture[::-1]).tobytes()  # GL counts rows from below
        texture = self._context.texture((width, height), channels, data, alignment=1)
        texture.filter = (self._context.LINEAR, self._context.LINEAR)
        texture.repeat_x = texture.repeat_y = True
        return texture

    def _canvas_of(self, fine: int) -> Any:
        if self._canvas is None or self._canvas[0] != fine:
            if self._canvas is not None:
                self._canvas[1].release()
            self._canvas = (
                fine,
                self._context.framebuffer(
                    [self._context.renderbuffer((fine, fine), 3)],
                    self._context.depth_renderbuffer((fine, fine)),
                ),
            )
        return self._canvas[1]
