// Draws points with WebGL 2 as SoftwareCloud does: discs with depth, then shading by depth.
class GpuCloud {
  static POINTS = `#version 300 es
    in vec3 place; in vec3 colour; in float owner;
    uniform vec3 low; uniform float step_; uniform vec3 target; uniform vec4 turn;
    uniform vec4 lens; uniform vec2 size; uniform float cut; uniform float radius;
    uniform vec3 palette[8]; uniform vec3 ground; uniform float fade;
    out vec3 shown;
    void main() {
      vec3 point = low + place * step_;
      vec3 p = point - target;
      float rx = p.x * turn.x + p.z * turn.y;
      float rz = p.z * turn.x - p.x * turn.y;
      float z = lens.x - (rz * turn.z + p.y * turn.w);
      float y = p.y * turn.z - rz * turn.w;
      float f = lens.w, n = lens.z;
      gl_Position = point.y > cut || z < n
        ? vec4(2.0, 2.0, 2.0, 1.0)
        : vec4(2.0 * rx * lens.y / size.x, 2.0 * y * lens.y / size.y,
               ((f + n) * z - 2.0 * f * n) / (f - n), z);
      gl_PointSize = 2.0 * clamp(radius * lens.y / z, 1.0, 12.0);
      int i = int(owner + 0.5);
      shown = i > 0 ? palette[i - 1] : mix(colour, ground, fade);
    }`;
  static DISCS = `#version 300 es
    precision mediump float;
    in vec3 shown; out vec4 pixel;
    void main() {
      vec2 off = gl_PointCoord * 2.0 - 1.0;
      if (dot(off, off) > 1.0) discard;
      pixel = vec4(shown, 1.0);
    }`;
  static SCREEN = `#version 300 es
    void main() { gl_Position = vec4(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1, 0, 1); }`;
  static SHADE = `#version 300 es
    precision highp float;
    uniform sampler2D colours; uniform sampler2D depths; uniform vec4 lens; uniform int reach;
    out vec4 pixel;
    float away(ivec2 at) {
      float d = texelFetch(depths, at, 0).r;
      return d >= 1.0 ? 1e9 : 2.0 * lens.w * lens.z / (lens.w + lens.z - (2.0 * d - 1.0) * (lens.w - lens.z));
    }
    void main() {
      ivec2 at = ivec2(gl_FragCoord.xy);
      ivec2 last = textureSize(depths, 0) - 1;
      float z = away(at);
      if (z >= 1e9) { pixel = vec4(0); return; }
      float behind = 0.0;
      for (int i = 0; i < 4; i++) {
        ivec2 side = i == 0 ? ivec2(reach, 0) : i == 1 ? ivec2(-reach, 0) : i == 2 ? ivec2(0, reach) : ivec2(0, -reach);
        behind += clamp((z - away(clamp(at + side, ivec2(0), last))) / z - 0.004, 0.0, 0.032);
      }
      float far = 1.0 - 0.3 * clamp((z / lens.x - 0.74) / 0.52, 0.0, 1.0);
      pixel = vec4(texelFetch(colours, at, 0).rgb * exp(-15.0 * behind) * far, 1.0);
    }`;

  // Throws where there is no WebGL 2. raw: x, y, z of each point as uint16; low, step: their place.
  constructor(canvas, raw, low, step) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: true });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.canvas = canvas;
    this.count = raw.length / 3;
    this.points = this.program(GpuCloud.POINTS, GpuCloud.DISCS);
    this.screen = this.program(GpuCloud.SCREEN, GpuCloud.SHADE);
    this.cloud = gl.createVertexArray();
    gl.bindVertexArray(this.cloud);
    this.feed("place", 3, gl.UNSIGNED_SHORT, false, 6, raw);
    this.colours = this.feed("colour", 3, gl.UNSIGNED_BYTE, true, 3, new Uint8Array(3 * this.count));
    this.owners = this.feed("owner", 1, gl.UNSIGNED_BYTE, false, 1, new Uint8Array(this.count));
    gl.bindVertexArray(null);
    this.empty = gl.createVertexArray();
    gl.useProgram(this.points);
    gl.uniform3fv(this.at("low"), low);
    gl.uniform1f(this.at("step_"), step);
  }

  program(vertex, fragment) {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      throw new Error(gl.getProgramInfoLog(program) || "a shader does not compile");
    }
    return program;
  }

  at(name, program = this.points) {
    return this.gl.getUniformLocation(program, name);
  }

  feed(name, size, type, normalised, stride, data) {
    const { gl } = this;
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    const at = gl.getAttribLocation(this.points, name);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, type, normalised, stride, 0);
    return buffer;
  }

  // colours: red, green, blue of each point.
  paint(colours) {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.colours);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, colours, this.gl.STATIC_DRAW);
  }

  // owners: of each point the number of its answer from 1, 0 for none.
  mark(owners) {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.owners);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, owners, this.gl.STATIC_DRAW);
  }

  resize(width, height) {
    const { gl, canvas } = this;
    canvas.width = width;
    canvas.height = height;
    for (const old of [this.colour, this.depth]) if (old) gl.deleteTexture(old);
    const texture = (format, internal, type) => {
      const made = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, made);
      gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, null);
      for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
        gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
      }
      return made;
    };
    this.colour = texture(gl.RGBA, gl.RGBA8, gl.UNSIGNED_BYTE);
    this.depth = texture(gl.DEPTH_COMPONENT, gl.DEPTH_COMPONENT24, gl.UNSIGNED_INT);
    this.frame = this.frame || gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.colour, 0);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, this.depth, 0);
  }

  // camera as SoftwareCloud's; looks: palette and ground as shares of red, green, blue, and fade.
  draw(camera, radius, looks) {
    const { gl } = this;
    const { width, height } = this.canvas;
    const lens = [camera.distance, camera.focus, camera.near, camera.far];
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(this.points);
    gl.uniform3fv(this.at("target"), camera.target);
    const { yaw, pitch } = camera;
    gl.uniform4f(this.at("turn"), Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch));
    gl.uniform4fv(this.at("lens"), lens);
    gl.uniform2f(this.at("size"), width, height);
    gl.uniform1f(this.at("cut"), camera.cut);
    gl.uniform1f(this.at("radius"), radius);
    gl.uniform3fv(this.at("palette"), looks.palette);
    gl.uniform3fv(this.at("ground"), looks.ground);
    gl.uniform1f(this.at("fade"), looks.fade);
    gl.bindVertexArray(this.cloud);
    gl.drawArrays(gl.POINTS, 0, this.count);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.disable(gl.DEPTH_TEST);
    gl.useProgram(this.screen);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.colour);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.depth);
    gl.uniform1i(this.at("colours", this.screen), 0);
    gl.uniform1i(this.at("depths", this.screen), 1);
    gl.uniform4fv(this.at("lens", this.screen), lens);
    gl.uniform1i(this.at("reach", this.screen), Math.max(1, Math.round(width / 840)));
    gl.bindVertexArray(this.empty);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindVertexArray(null);
    gl.activeTexture(gl.TEXTURE0);
  }
}
