defmodule Mix.Tasks.Compile.BlanketNif do
  @shortdoc "Builds Blanket's NIF library with cargo"

  @moduledoc """
  Builds the crate `blanket_nif` with cargo into the application's `priv/native`.

  Cargo runs when a Rust source, a `Cargo.toml`, `Cargo.lock` or an option changed since the last
  build, when the library is missing, and on `mix compile --force`. `mix clean` removes the library.

  ## Options

  They have the names and the meaning of Rustler's, and stand in the configuration of the project
  that is built:

      config :blanket, Blanket.Native, mode: :debug

    * `:cargo` - `:system` (default), `{:rustup, version}` or `{:bin, path}`
    * `:default_features` - whether the crate's default features are on (default `true`)
    * `:env` - environment variables for cargo, as `[{"NAME", "value"}]`
    * `:features` - crate features to switch on, a list of strings
    * `:mode` - `:release` (default) or `:debug`
    * `:skip_compilation?` - `true` when the library in `priv/native` is made by other means
    * `:target` - a target triple to build for, the host's by default
    * `:target_dir` - cargo's target directory, below the application's `_build` by default

  """

  use Mix.Task.Compiler

  alias Mix.Task.Compiler.Diagnostic

  @root Path.dirname(__DIR__)
  @crate "blanket_nif"
  @inputs [
    ".cargo/config.toml",
    "Cargo.{toml,lock}",
    "native/*/{Cargo.toml,build.rs}",
    "native/*/src/**/*.rs"
  ]

  @doc "The value of a field of the workspace's Cargo.toml, the one place versions are written in."
  def cargo_field(name) do
    manifest = File.read!(Path.join(@root, "Cargo.toml"))
    [_, value] = Regex.run(~r/^#{name}\s*=\s*"(.+)"/m, manifest)
    value
  end

  @impl true
  def run(args) do
    options = options()
    digest = digest(options)

    cond do
      options[:skip_compilation?] -> {:noop, []}
      "--force" not in args and built?(digest) -> {:noop, []}
      true -> build(options, digest)
    end
  end

  @impl true
  def manifests, do: [manifest()]

  @impl true
  def clean do
    File.rm(library())
    File.rm(manifest())
    File.rm_rf(default_target_dir())
    :ok
  end

  defp options do
    :blanket
    |> Application.get_env(Blanket.Native, [])
    |> Keyword.validate!(
      cargo: :system,
      default_features: true,
      env: [],
      features: [],
      mode: :release,
      skip_compilation?: false,
      target: nil,
      target_dir: default_target_dir()
    )
  end

  defp default_target_dir, do: Path.join(Mix.Project.app_path(), "native/#{@crate}")
  defp manifest, do: Path.join(Mix.Project.manifest_path(), "compile.blanket_nif")

  # In the build directory, not in the checkout: projects that share a checkout, or may only read
  # it, have a library each.
  defp library, do: Path.join(Mix.Project.app_path(), "priv/native/lib#{@crate}.so")

  defp built?(digest), do: File.read(manifest()) == {:ok, digest} and File.exists?(library())

  defp digest(options) do
    sources =
      File.cd!(@root, fn ->
        for pattern <- @inputs,
            path <- Path.wildcard(pattern, match_dot: true),
            do: {path, File.read!(path)}
      end)

    :erlang.md5(:erlang.term_to_binary({options, sources}))
  end

  defp build(options, digest) do
    [program | arguments] = cargo(options[:cargo])

    with {:ok, path} <- find(program),
         :ok <- check_rust(path, arguments, options) do
      Mix.shell().info("Compiling crate #{@crate} in #{options[:mode]} mode")
      {output, status} = run_cargo(path, arguments ++ build_arguments(options), options)
      finish(status, diagnostics(output), output, options, digest)
    else
      {:error, message} -> fail(message)
    end
  end

  defp cargo(:system), do: ["cargo"]
  defp cargo({:bin, path}), do: [path]
  defp cargo({:rustup, version}), do: ["rustup", "run", to_string(version), "cargo"]

  defp find(program) do
    case System.find_executable(program) do
      nil -> {:error, "#{program} was not found. " <> how_to_get_rust()}
      path -> {:ok, path}
    end
  end

  defp check_rust(path, arguments, options) do
    {output, status} =
      System.cmd(path, arguments ++ ["--version"],
        env: options[:env],
        cd: @root,
        stderr_to_stdout: true
      )

    with 0 <- status,
         [_, found] <- Regex.run(~r/^cargo (\d+\.\d+\.\d+)/m, output),
         true <- Version.compare(found, cargo_field("rust-version") <> ".0") != :lt do
      :ok
    else
      false -> {:error, "found #{String.trim(output)}, which is too old. " <> how_to_get_rust()}
      _ -> {:error, "cargo does not run: #{String.trim(output)}\n" <> how_to_get_rust()}
    end
  end

  defp how_to_get_rust do
    """
    Blanket is built with Rust #{cargo_field("rust-version")} or newer. \
    Where there is rustup, run: rustup update stable
    Otherwise install Rust from https://rustup.rs, and start again in a new shell.\
    """
  end

  defp build_arguments(options) do
    Enum.concat([
      ["build", "--package", @crate, "--target-dir", options[:target_dir]],
      if(options[:mode] == :release, do: ["--release"], else: []),
      if(options[:default_features], do: [], else: ["--no-default-features"]),
      Enum.flat_map(options[:features], &["--features", &1]),
      if(options[:target], do: ["--target", options[:target]], else: []),
      if(IO.ANSI.enabled?(), do: ["--color", "always"], else: [])
    ])
  end

  # A port, because what cargo says is both shown while it works and kept for the diagnostics.
  defp run_cargo(path, arguments, options) do
    env = for {name, value} <- options[:env], do: {to_charlist(name), to_charlist(value)}

    port =
      Port.open(
        {:spawn_executable, path},
        [:binary, :exit_status, :stderr_to_stdout, :hide, args: arguments, cd: @root, env: env]
      )

    relay(port, [])
  end

  defp relay(port, output) do
    receive do
      {^port, {:data, data}} ->
        IO.write(data)
        relay(port, [output | data])

      {^port, {:exit_status, status}} ->
        {output |> IO.iodata_to_binary() |> String.replace(~r/\e\[[\d;]*m/, ""), status}
    end
  end

  defp finish(0, diagnostics, _output, options, digest) do
    built = Path.join([options[:target_dir], options[:target] || "", built_name(options)])

    if File.exists?(built) do
      install(built)
      File.mkdir_p!(Path.dirname(manifest()))
      File.write!(manifest(), digest)
      {:ok, diagnostics}
    else
      fail(
        "cargo left no #{built}. Where cargo's own configuration sets a target, name it: " <>
          "config :blanket, Blanket.Native, target: \"the-target-triple\""
      )
    end
  end

  defp finish(status, diagnostics, output, _options, _digest) do
    if Enum.any?(diagnostics, &(&1.severity == :error)) do
      {:error, diagnostics}
    else
      message = "cargo exited with status #{status}:\n#{output}"
      {:error, [diagnostic(:error, message, Path.join(@root, "Cargo.toml"), 0) | diagnostics]}
    end
  end

  defp built_name(options) do
    apple? =
      if options[:target], do: options[:target] =~ "apple", else: match?({_, :darwin}, :os.type())

    "#{options[:mode]}/lib#{@crate}.#{if apple?, do: "dylib", else: "so"}"
  end

  # Renamed into place: a VM that has the old library mapped keeps it.
  defp install(built) do
    File.mkdir_p!(Path.dirname(library()))
    File.cp!(built, library() <> ".new")
    File.rename!(library() <> ".new", library())

    if :erlang.module_loaded(Blanket.Native) do
      Mix.shell().info(
        "This VM goes on with the library it has loaded; restart it for the new one"
      )
    end
  end

  defp fail(message) do
    Mix.shell().error("** (blanket) " <> message)
    {:error, [diagnostic(:error, message, Path.join(@root, "Cargo.toml"), 0)]}
  end

  @message ~r/^(error|warning)(?:\[\w+\])?: .+\n +--> (.+):(\d+):\d+\n(?:.+\n)*/m

  defp diagnostics(output) do
    for [message, severity, file, line] <- Regex.scan(@message, output) do
      path = Path.expand(file, @root)
      diagnostic(String.to_existing_atom(severity), message, path, String.to_integer(line))
    end
  end

  defp diagnostic(severity, message, file, line) do
    %Diagnostic{
      compiler_name: "cargo",
      severity: severity,
      message: message,
      file: file,
      position: line
    }
  end
end
