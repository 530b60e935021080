defmodule Blanket.DependencyTest do
  # Blanket in a project elsewhere, which runs the program of README.md.
  use ExUnit.Case, async: true

  import Blanket.Fixture

  @moduletag :tmp_dir

  # What a checkout has to bring with it.
  @sources ~w(.cargo lib native mix.exs Cargo.toml Cargo.lock)

  # The blocks are run by test/guides_test.exs, too.
  defp readme(pattern) do
    [_, block] = Regex.run(pattern, File.read!("README.md"))
    block
  end

  defp shop(dir, dependencies) do
    write(dir, %{
      "mix.exs" => """
      defmodule Shop.MixProject do
        use Mix.Project
        def project, do: [app: :shop, version: "0.1.0", deps: deps()]
        def application, do: [extra_applications: [:logger]]
        #{dependencies}
      end
      """,
      "config/config.exs" => """
      import Config
      config :blanket, Blanket.Native, target_dir: #{inspect(target_dir())}
      """,
      "lib/table_top.ex" => readme(~r/```elixir\n(defmodule .+?)```/s),
      "check.exs" => readme(~r/```elixir\n(Supervisor.start_link.+?)```/s)
    })
  end

  test "as a path dependency", %{tmp_dir: dir} do
    shop = shop(Path.join(dir, "shop"), readme(~r/```elixir\n(defp deps .+?)```/s))
    File.ln_s!(root(), Path.join(dir, "blanket"))
    {output, status} = mix(shop, ["run", "check.exs"])
    assert status == 0, output
    assert output =~ ~s([{1, "Ada"}])

    assert File.exists?(Path.join(shop, "_build/dev/lib/blanket/priv/native/libblanket_nif.so"))
    {output, 0} = mix(shop, ["compile"])
    refute output =~ "Compiling"
  end

  test "as a git dependency, in a release that runs without Rust", %{tmp_dir: dir} do
    repository = copy(Path.join(dir, "blanket"), @sources)
    git = ~w(-c user.name=Test -c user.email=test@example.org -c init.defaultBranch=main)

    for arguments <- [~w(init), ~w(add .), ~w(commit --message Blanket)] do
      assert {_, 0} = run(repository, "git", git ++ arguments)
    end

    dependency = {:blanket, git: "file://" <> repository}
    shop = shop(Path.join(dir, "shop"), "defp deps, do: [#{inspect(dependency)}]")
    {output, status} = mix(shop, ["do", "deps.get,", "release"], MIX_ENV: "prod")
    assert status == 0, output

    {output, status} =
      run(
        shop,
        Path.expand("_build/prod/rel/shop/bin/shop", shop),
        [
          "eval",
          "{:ok, _} = Application.ensure_all_started(:shop); Code.eval_file(\"check.exs\")"
        ],
        PATH: path_without_rust(Path.join(dir, "bin"))
      )

    assert status == 0, output
    assert output =~ ~s([{1, "Ada"}])
  end
end
