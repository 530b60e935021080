defmodule Mix.Tasks.Blanket.Top do
  @shortdoc "Shows Blanket's tables of a running node"

  @moduledoc """
  Shows the tables of a running node, and goes on to do so until it is interrupted.

      mix blanket.top --node shop@localhost

  This is the node that `iex --sname shop@localhost -S mix` starts.

  The columns are those of `Blanket.Inspector.TableInfo`: `STATE` is `owned` or `orphan`, `FOR` tells
  for how long that is so.

  ## Options

    * `--node` – the node to look at. Without it, the project's own application is started in the node of
      Mix itself, and its tables are shown;
    * `--cookie` – its cookie, where that is not the one in `~/.erlang.cookie`;
    * `--interval` – the seconds from one look to the next, 1 by default;
    * `--count` – how many looks to take. On a terminal there is no end by default; where the output goes
      elsewhere, it is one;
    * `--sort` – `memory` (the default), `size`, `name` or `hand_overs`.

  The node needs Blanket and nothing else; nothing is loaded or left there.
  """

  use Mix.Task

  alias Blanket.Inspector
  alias Blanket.Inspector.Report

  @switches [node: :string, cookie: :string, interval: :float, count: :integer, sort: :string]

  @impl true
  def run(arguments) do
    options = options!(arguments)
    lines = source(options)
    if options.node == nil and not options.terminal, do: IO.puts(:stderr, head(options))
    if options.terminal, do: IO.write("\e[2J")
    look(lines, options, options.count)
  end

  defp options!(arguments) do
    case OptionParser.parse(arguments, strict: @switches) do
      {options, [], []} ->
        terminal = match?({:ok, _}, :io.columns())

        %{
          node: options[:node],
          cookie: options[:cookie],
          interval: positive!("--interval", Keyword.get(options, :interval, 1.0)),
          count: positive!("--count", options[:count] || if(terminal, do: :infinity, else: 1)),
          sort: sort!(options[:sort] || "memory"),
          terminal: terminal
        }

      {_, [argument | _], _} ->
        Mix.raise("mix blanket.top takes no argument #{argument}: see mix help blanket.top")

      {_, _, [{switch, nil} | _]} ->
        Mix.raise("mix blanket.top knows no option #{switch}: see mix help blanket.top")

      {_, _, [{switch, value} | _]} ->
        Mix.raise("mix blanket.top: #{switch} cannot be #{value}: see mix help blanket.top")
    end
  end

  # As terms, every number is less than :infinity.
  defp positive!(_switch, number) when number > 0, do: number
  defp positive!(switch, number), do: Mix.raise("#{switch} has to be more than 0, not #{number}")

  defp sort!(name) do
    Enum.find(Report.sorts(), &(Atom.to_string(&1) == name)) ||
      Mix.raise("--sort is one of #{Enum.join(Report.sorts(), ", ")}, not #{name}")
  end

  ## Where the tables are

  defp source(%{node: nil}) do
    Mix.Task.run("app.start")
    &Inspector.lines/3
  end

  defp source(options) do
    node = String.to_atom(options.node)
    start_distribution(options.node)
    if options.cookie, do: Node.set_cookie(node, String.to_atom(options.cookie))

    unless Node.connect(node) == true do
      Mix.raise(
        "cannot connect to #{node}: is it running, under this name, with this cookie? A node whose " <>
          "name has a dot in its host was started with --name, another with --sname"
      )
    end

    fn sort, width, height -> ask(node, [sort, width, height]) end
  end

  # It only asks, so it needs no name that others could connect to.
  defp start_distribution(node) do
    unless Node.alive?() do
      domain = if node =~ ~r/@.*\./, do: :longnames, else: :shortnames
      name = :"blanket_top_#{System.pid()}@#{host(node, domain)}"

      with {:error, reason} <-
             :net_kernel.start(name, %{name_domain: domain, dist_listen: false, hidden: true}),
           do: Mix.raise("cannot make this node a distributed one: #{inspect(reason)}")
    end
  end

  defp host(node, :longnames), do: node |> String.split("@") |> List.last()

  defp host(_node, :shortnames) do
    {:ok, host} = :inet.gethostname()
    host
  end

  # It makes the lines itself: there, its pids are local, and so are its clock's times.
  defp ask(node, arguments) do
    :erpc.call(node, Inspector, :lines, arguments, 10_000)
  catch
    :error, {:exception, :undef, _} ->
      Mix.raise("#{node} has no Blanket, or one that is older than mix blanket.top")

    :error, {:erpc, reason} ->
      Mix.raise("#{node} does not answer: #{reason}")
  end

  ## On the terminal

  defp look(lines, options, count) do
    show(lines, options)

    if count > 1 do
      Process.sleep(round(options.interval * 1000))
      look(lines, options, if(count == :infinity, do: count, else: count - 1))
    end
  end

  defp show(lines, %{terminal: false} = options) do
    Enum.each(lines.(options.sort, 120, :infinity), &IO.puts/1)
    IO.puts("")
  end

  # Over the former look, so that nothing flickers.
  defp show(lines, options) do
    {:ok, width} = :io.columns()
    {:ok, height} = :io.rows()
    now = Calendar.strftime(NaiveDateTime.local_now(), "%H:%M:%S")
    head = String.slice("#{head(options)}  #{now}", 0, width)
    lines = [head | lines.(options.sort, width, height - 2)]
    IO.write(["\e[H", Enum.map(lines, &[&1, "\e[K\n"]), "\e[J"])
  end

  defp head(%{node: nil}), do: "The node of this mix itself; --node NAME shows another"
  defp head(%{node: node}), do: node
end
