defmodule Leaderboard do
  @moduledoc """
  Players in the order of their points.

  There are two tables. A `:set` has the points of each player. An `:ordered_set` has the keys
  `{-points, player}`, so that the best comes first. All processes read them; the one here writes.
  """

  use GenServer
  use Blanket

  alias Blanket.Table

  @points Leaderboard.Points
  @ranks Leaderboard.Ranks

  @type player :: String.t()

  def start_link(_arg) do
    with {:ok, _heir} <- Blanket.new(__MODULE__, __MODULE__, {@points, [:named_table]}),
         {:ok, _heir} <-
           Blanket.new(__MODULE__, __MODULE__, {@ranks, [:named_table, :ordered_set]}),
         do: GenServer.start_link(__MODULE__, [], name: __MODULE__)
  end

  @doc "Adds points to those of a player, and answers the sum."
  @spec add(player, integer) :: integer
  def add(player, points), do: GenServer.call(__MODULE__, {:add, player, points})

  @doc "The best `count` players with their points."
  @spec top(pos_integer) :: [{player, points :: integer}]
  def top(count) do
    case Table.select(@ranks, [{{:"$1"}, [], [:"$1"]}], count) do
      {ranks, _continuation} -> shown(ranks)
      :"$end_of_table" -> []
    end
  end

  @doc "Who has from `least` to `most` points, the best first. No others are looked at."
  @spec between(integer, integer) :: [{player, points :: integer}]
  def between(least, most) do
    # No player comes before "".
    guards = [
      {:>=, :"$1", {:const, {-most, ""}}},
      {:<, :"$1", {:const, {1 - least, ""}}}
    ]

    @ranks |> Table.select([{{:"$1"}, guards, [:"$1"]}]) |> shown()
  end

  @doc "The rank of a player: 1 for the best."
  @spec rank(player) :: pos_integer | nil
  def rank(player) do
    with [{^player, points}] <- Table.lookup(@points, player) do
      before = {:<, :"$1", {:const, {-points, player}}}
      Table.select_count(@ranks, [{{:"$1"}, [before], [true]}]) + 1
    else
      [] -> nil
    end
  end

  defp shown(ranks), do: for({points, player} <- ranks, do: {player, -points})

  # The points count. What the last owner did not get to write into the ranks is written here.
  @impl true
  def init([]) do
    {:ok, @points} = Blanket.receive_table(@points)
    {:ok, @ranks} = Blanket.receive_table(@ranks)

    Table.delete_all_objects(@ranks)

    Table.insert(
      @ranks,
      for({player, points} <- Table.tab2list(@points), do: {{-points, player}})
    )

    {:ok, []}
  end

  @impl true
  def handle_call({:add, player, more}, _from, state) do
    sum = Table.update_counter(@points, player, more, {player, 0})
    Table.delete(@ranks, {more - sum, player})
    Table.insert(@ranks, {{-sum, player}})
    {:reply, sum, state}
  end
end
