"""Runs inside Blender, with Blender's Python: draws the job in the folder after `--`.

`blender.py` says what is in the folder. Nothing of cg3d-sdk is imported here.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector


def main(folder: Path) -> None:
    """Draw all views of a job."""
    job = json.loads((folder / "job.json").read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    _set_up(scene, job)
    _add_mesh(scene, folder, job["textures"])
    for i, view in enumerate(job["views"]):
        made = [_add_camera(scene, view), *_add_lights(scene, view)]
        scene.render.filepath = str(folder / f"view-{i}.png")
        bpy.ops.render.render(write_still=True)
        for thing in made:
            bpy.data.objects.remove(thing, do_unlink=True)


def _set_up(scene: Any, job: dict[str, Any]) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = job["samples"]
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.cycles.seed = 0
    scene.render.threads_mode = "FIXED"
    scene.render.threads = 1  # `prepare` runs one Blender for each of its processes
    scene.render.resolution_x = scene.render.resolution_y = job["size"]
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True


def _add_mesh(scene: Any, folder: Path, textures: int) -> None:
    with np.load(folder / "mesh.npz", allow_pickle=False) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    faces = held["faces"]
    mesh = bpy.data.meshes.new("object")
    mesh.from_pydata(held["vertices"].tolist(), [], faces.tolist())
    colours = held["colours"].reshape(-1, 3)
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    rgba = np.concatenate([linear, np.ones((len(linear), 1))], axis=1).astype(np.float32)
    attribute = mesh.color_attributes.new("colour", "FLOAT_COLOR", "CORNER")
    attribute.data.foreach_set("color", rgba.ravel())
    mesh.uv_layers.new(name="uv").data.foreach_set("uv", held["uv"].astype(np.float32).ravel())
    for i in range(-1, textures):
        mesh.materials.append(_material(folder / f"texture-{i}.png" if i >= 0 else None))
    mesh.polygons.foreach_set("material_index", (held["texture"] + 1).astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    if hasattr(mesh, "use_auto_smooth"):  # before Blender 4.1
        mesh.use_auto_smooth = True
    mesh.normals_split_custom_set(held["normals"].reshape(-1, 3).tolist())
    mesh.update()
    scene.collection.objects.link(bpy.data.objects.new("object", mesh))


def _material(picture: Path | None) -> Any:
    """Lambert's law: the corners' colour, times a picture's, with holes where it has them."""
    material = bpy.data.materials.new("material")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    colour = nodes.new("ShaderNodeVertexColor")
    colour.layer_name = "colour"
    diffuse, output = nodes.new("ShaderNodeBsdfDiffuse"), nodes.new("ShaderNodeOutputMaterial")
    if picture is None:
        links.new(colour.outputs["Color"], diffuse.inputs["Color"])
        links.new(diffuse.outputs[0], output.inputs["Surface"])
        return material
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load(str(picture))
    product = nodes.new("ShaderNodeVectorMath")
    product.operation = "MULTIPLY"
    links.new(colour.outputs["Color"], product.inputs[0])
    links.new(texture.outputs["Color"], product.inputs[1])
    links.new(product.outputs[0], diffuse.inputs["Color"])
    solid = nodes.new("ShaderNodeMath")
    solid.operation = "GREATER_THAN"
    solid.inputs[1].default_value = 0.5
    mix, nothing = nodes.new("ShaderNodeMixShader"), nodes.new("ShaderNodeBsdfTransparent")
    links.new(texture.outputs["Alpha"], solid.inputs[0])
    links.new(solid.outputs[0], mix.inputs[0])
    links.new(nothing.outputs[0], mix.inputs[1])
    links.new(diffuse.outputs[0], mix.inputs[2])
    links.new(mix.outputs[0], output.inputs["Surface"])
    return material


def _add_camera(scene: Any, view: dict[str, Any]) -> Any:
    data = bpy.data.cameras.new("camera")
    data.angle = math.radians(view["field_of_view"])
    data.clip_start, data.clip_end = 0.01, 1000.0
    camera = bpy.data.objects.new("camera", data)
    right, up, ahead = (Vector(axis) for axis in view["axes"])
    turned = Matrix((right, up, -ahead)).transposed().to_4x4()
    camera.matrix_world = Matrix.Translation(Vector(view["eye"])) @ turned
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def _add_lights(scene: Any, view: dict[str, Any]) -> list[Any]:
    sky = scene.world.node_tree.nodes["Background"]
    sky.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    sky.inputs["Strength"].default_value = view["ambient"]
    lights = []
    for direction, strength in zip(view["directions"], view["strengths"], strict=True):
        data = bpy.data.lights.new("sun", "SUN")
        data.energy = strength * math.pi  # a white surface that faces it is then as bright
        light = bpy.data.objects.new("sun", data)
        light.matrix_world = Vector(direction).to_track_quat("Z", "Y").to_matrix().to_4x4()
        scene.collection.objects.link(light)
        lights.append(light)
    return lights


if __name__ == "__main__":
    main(Path(sys.argv[sys.argv.index("--") + 1]))
