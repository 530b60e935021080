defmodule Blanket.RecompileTest do
  # What `recompile` in `iex -S mix` does to the tables of the VM it is called in.
  use ExUnit.Case, async: true

  import Blanket.Fixture

  @moduletag :tmp_dir

  @script """
  alias Blanket.Table

  named = Table.new(:named, [:named_table, :public])
  unnamed = Table.new(:unnamed, [:ordered_set, :public])
  owner = spawn(fn -> Table.new(:owned, [:named_table]) && receive(do: (:stop -> :ok)) end)
  true = Table.insert(unnamed, {0})

  # The second time purges the code that loaded the library.
  for n <- 1..3 do
    :ok = IEx.Helpers.recompile(force: true)
    true = Table.insert(named, {n, make_ref()})
    [{0}] = Table.lookup(unnamed, 0)
  end

  3 = Table.info(named, :size)
  monitor = Process.monitor(owner)
  send(owner, :stop)
  receive do: ({:DOWN, ^monitor, _, _, _} -> :ok)
  IO.puts("owned table after its owner: " <> inspect(Table.whereis(:owned)))
  """

  test "tables and their owners stay usable", %{tmp_dir: dir} do
    env = [MIX_BUILD_PATH: Path.join(dir, "_build/dev")]
    {output, status} = mix(root(), ["run", "-e", @script], env)
    assert status == 0, output
    assert output =~ "owned table after its owner: :undefined"
  end
end
