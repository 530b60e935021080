defmodule Blanket.Fixture do
  @moduledoc "Mix projects in temporary directories, worked on by a mix of their own."

  @root Path.expand("../..", __DIR__)

  @doc "The project's own root."
  def root, do: @root

  @doc "Where cargo has built for this run of the tests: sharing it saves building again."
  def target_dir, do: Path.join(@root, "target")

  @doc "Writes `files`, a map of relative paths to contents, below `dir`."
  def write(dir, files) do
    for {path, contents} <- files do
      path = Path.join(dir, path)
      File.mkdir_p!(Path.dirname(path))
      File.write!(path, contents)
    end

    dir
  end

  @doc "Copies `paths` of the project to `dir`."
  def copy(dir, paths) do
    for path <- paths do
      File.mkdir_p!(Path.dirname(Path.join(dir, path)))
      File.cp_r!(Path.join(@root, path), Path.join(dir, path))
    end

    dir
  end

  @doc "Runs `mix` in `dir`. Answers what it printed and its exit status."
  def mix(dir, arguments, env \\ []) do
    run(dir, "mix", arguments, Keyword.merge([MIX_ENV: "dev", MIX_BUILD_PATH: nil], env))
  end

  @doc "Runs a program in `dir`. Answers what it printed and its exit status."
  def run(dir, program, arguments, env \\ []) do
    System.cmd(program, arguments,
      cd: dir,
      stderr_to_stdout: true,
      env: for({name, value} <- env, do: {to_string(name), value})
    )
  end

  @doc """
  A search path with `programs` in place of Rust: all that is on the present one, but cargo and
  rustup, with a shell script for each of `programs`.
  """
  def path_without_rust(dir, programs \\ %{}) do
    write(dir, programs)
    for {name, _script} <- programs, do: File.chmod!(Path.join(dir, name), 0o755)

    "PATH"
    |> System.fetch_env!()
    |> String.split(":")
    |> Enum.with_index()
    |> Enum.map(fn {path, index} ->
      if Enum.any?(~w(cargo rustup), &File.exists?(Path.join(path, &1))),
        do: without_rust(path, Path.join(dir, "path-#{index}")),
        else: path
    end)
    |> then(&Enum.join([dir | &1], ":"))
  end

  defp without_rust(path, links) do
    File.mkdir_p!(links)

    for name <- File.ls!(path), name not in ~w(cargo rustup) do
      File.ln_s!(Path.join(path, name), Path.join(links, name))
    end

    links
  end
end
