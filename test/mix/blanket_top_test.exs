defmodule Mix.Tasks.Blanket.TopTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO

  alias Blanket.{Fixture, Table}
  alias Mix.Tasks.Blanket.Top

  @ebin Application.app_dir(:blanket, "ebin")

  # Another node, with a table, for as long as the test runs.
  defp start_node(cookie) do
    name = "blanket_top_test_#{System.unique_integer([:positive])}_#{System.pid()}"

    program = """
    {:ok, _} = Application.ensure_all_started(:blanket)
    Blanket.Table.new(:of_the_other_node, [:ordered_set])
    IO.puts("ready: \#{node()}")
    IO.gets("")
    System.halt()
    """

    # The pipe is the node's input: when it is closed, the node ends.
    port =
      Port.open({:spawn_executable, System.find_executable("elixir")}, [
        :binary,
        :stderr_to_stdout,
        line: 1000,
        args: ["--sname", name, "--cookie", cookie, "-pa", @ebin, "-e", program]
      ])

    assert_receive {^port, {:data, {:eol, "ready: " <> node}}}, 60_000
    node
  end

  # In a VM of its own: it becomes a distributed one.
  defp top(arguments) do
    Fixture.run(Fixture.root(), "elixir", ["-pa", @ebin, "-e", run(), "--"] ++ arguments)
  end

  defp run, do: "Mix.start(); Mix.Tasks.Blanket.Top.run(System.argv())"

  test "shows the tables of another node" do
    node = start_node("sesame")
    assert {output, 0} = top(["--node", node, "--cookie", "sesame"])
    assert output =~ ~r/^1 table, 0 objects, .*\n\nNAME/
    assert output =~ ~r/^:of_the_other_node +ordered_set +0 .* owned /m
    assert output =~ "#PID<0."
    refute output =~ "\e["

    assert {output, 1} = top(["--node", node, "--cookie", "wrong"])

    assert output =~
             "cannot connect to #{node}: is it running, under this name, with this cookie?"
  end

  test "on a terminal draws over what it drew before" do
    node = start_node("sesame")

    command =
      "stty cols 120 rows 20; elixir -pa '#{@ebin}' -e '#{run()}' -- --node #{node} --cookie sesame " <>
        "--count 2 --interval 0.1"

    assert {output, 0} = Fixture.run(Fixture.root(), "script", ["-qec", command, "/dev/null"])
    assert [_, first, second] = String.split(output, "\e[H"), output
    assert first =~ node
    assert second =~ ":of_the_other_node"

    for line <- String.split(first, "\e[K\r\n"), do: assert(String.length(line) <= 120)
  end

  test "shows the tables of this node, as often as asked for" do
    name = :"top_#{System.unique_integer([:positive])}"
    Table.new(name, [])

    arguments = ["--count", "3", "--interval", "0.01", "--sort", "name"]

    {output, said} = with_io(:stderr, fn -> capture_io(fn -> Top.run(arguments) end) end)

    assert said == "The node of this mix itself; --node NAME shows another\n"
    assert length(String.split(output, "HAND-OVERS")) == 4
    assert output =~ inspect(name)
  end

  for {arguments, message} <- [
        {~w(--sort age), "--sort is one of memory, size, name, hand_overs, not age"},
        {~w(--count 0), "--count has to be more than 0"},
        {~w(--interval -1), "--interval has to be more than 0"},
        {~w(--count many), "--count cannot be many"},
        {~w(--color), "knows no option --color"},
        {~w(tables), "takes no argument tables"}
      ] do
    test "refuses #{Enum.join(arguments, " ")}" do
      assert_raise Mix.Error, ~r/#{unquote(message)}/, fn -> Top.run(unquote(arguments)) end
    end
  end
end
