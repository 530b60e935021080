defmodule Blanket.DependencyTest do
  # Blanket in a project elsewhere, which runs the program of README.md.
  use ExUnit.Case, async: true

  import Blanket.Fixture

  @moduletag :tmp_dir
  @moduletag timeout: :timer.minutes(10)

  # What a checkout has to bring with it.
  @sources ~w(.cargo lib native mix.exs Cargo.toml Cargo.lock)

  @check """
  defmodule Shop.Check do
    def run do
      {:ok, _} = Supervisor.start_link([{MyApp.TableTop, :top}], strategy: :one_for_one)
      true = GenServer.call(:top, {:insert, {1, "Ada"}})
      owner = Process.whereis(:top)
      monitor = Process.monitor(owner)
      Process.exit(owner, :kill)
      receive do: ({:DOWN, ^monitor, _, _, :killed} -> :ok)
      IO.puts("after the kill: " <> inspect(GenServer.call(next(owner), {:lookup, 1})))
    end

    defp next(owner) do
      case Process.whereis(:top) do
        next when next in [nil, owner] -> next(owner)
        next -> next
      end
    end
  end
  """

  defp shop(dir, blanket) do
    [_, program] = Regex.run(~r/```elixir\n(defmodule .+?)```/s, File.read!("README.md"))

    write(dir, %{
      "mix.exs" => """
      defmodule Shop.MixProject do
        use Mix.Project
        def project, do: [app: :shop, version: "0.1.0", deps: [{:blanket, #{inspect(blanket)}}]]
        def application, do: [extra_applications: [:logger]]
      end
      """,
      "config/config.exs" => """
      import Config
      config :blanket, Blanket.Native, target_dir: #{inspect(target_dir())}
      """,
      "lib/table_top.ex" => program,
      "lib/check.ex" => @check
    })
  end

  test "as a path dependency", %{tmp_dir: dir} do
    shop(dir, path: root())
    {output, status} = mix(dir, ["run", "-e", "Shop.Check.run()"])
    assert status == 0, output
    assert output =~ ~s(after the kill: [{1, "Ada"}])

    assert File.exists?(Path.join(dir, "_build/dev/lib/blanket/priv/native/libblanket_nif.so"))
    {output, 0} = mix(dir, ["compile"])
    refute output =~ "Compiling"
  end

  test "as a git dependency, in a release that runs without Rust", %{tmp_dir: dir} do
    repository = copy(Path.join(dir, "blanket"), @sources)
    git = ~w(-c user.name=Test -c user.email=test@example.org -c init.defaultBranch=main)

    for arguments <- [~w(init), ~w(add .), ~w(commit --message Blanket)] do
      assert {_, 0} = run(repository, "git", git ++ arguments)
    end

    shop = shop(Path.join(dir, "shop"), git: "file://" <> repository)
    {output, status} = mix(shop, ["do", "deps.get,", "release"], MIX_ENV: "prod")
    assert status == 0, output

    {output, status} =
      run(
        shop,
        Path.expand("_build/prod/rel/shop/bin/shop", shop),
        [
          "eval",
          "{:ok, _} = Application.ensure_all_started(:shop); Shop.Check.run()"
        ],
        PATH: path_without_rust(Path.join(dir, "bin"))
      )

    assert status == 0, output
    assert output =~ ~s(after the kill: [{1, "Ada"}])
  end
end
